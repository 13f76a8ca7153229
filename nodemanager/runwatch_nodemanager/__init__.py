"""The node manager: claims runs, executes them here and reports what they print."""
