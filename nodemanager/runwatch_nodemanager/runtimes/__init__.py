"""Where a run is executed: start, stream, signal, stop."""
