"""History through the detector's own core: windows, splits in time, backtest."""
