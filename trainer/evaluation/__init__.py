"""Detection quality on labelled series: judged, tabled, drawn, beside baselines and published figures."""
