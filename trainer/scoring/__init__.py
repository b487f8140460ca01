"""From held-out windows to a score: components, covariance, injected anomalies, the choice among candidates."""
