"""From held-out normal scores to a threshold, and what normal looks like over time."""
