"""How fast and how soon, side by side in one run."""
