"""Work for several processors: processes, threads, progress."""
