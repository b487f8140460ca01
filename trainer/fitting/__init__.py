"""Networks fitted on folds, one after the other or side by side."""
