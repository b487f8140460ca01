"""From verdicts to alarms: the incident machine, data quality, explanation, the alert as it is sent."""
