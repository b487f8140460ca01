"""From bytes to rows: one file a format, below the field checks."""
