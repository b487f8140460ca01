"""Detection quality on labelled series: scored, tabled and drawn, beside baselines and published figures."""
