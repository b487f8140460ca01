"""From scores and runs to alarms: the incident machine, data quality, explanation, the alert as it is sent."""
