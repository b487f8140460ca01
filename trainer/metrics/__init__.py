"""Figures of detection against labels: by row, by event, by volume."""
