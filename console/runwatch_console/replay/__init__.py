"""Playing a recording as if it were live: the seam `ports.Connection` over a file."""
