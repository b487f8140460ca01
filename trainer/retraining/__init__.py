"""The worker and its way from a request to a decision."""
