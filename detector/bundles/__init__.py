"""Bundles: where versions lie, how they are signed, how one is verified and loaded."""
