"""Writes the generated pages of docs/reference: `make reference`."""
