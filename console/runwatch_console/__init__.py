"""The terminal console `monitor-tui`; `cli` is where its parts are joined."""
