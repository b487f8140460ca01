"""The state of a partition as bytes, and back."""
