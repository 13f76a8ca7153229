"""Parts of the server's metrics: requests, commits, what is present now; joined in `metrics`."""
