"""The contracts of watchkeeper: every message and file, as pydantic models. Imports pydantic and the stdlib only."""
