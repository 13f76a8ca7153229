"""Parts of the server's metrics: requests, commits, and what is present now; joined in `metrics`."""
