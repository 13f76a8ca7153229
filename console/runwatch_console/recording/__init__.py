"""Keeping what the feed brings in a file, and reading it again; playing it is in `replay`."""
