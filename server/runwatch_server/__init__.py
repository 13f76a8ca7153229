"""The monitor server: keeps runs, nodes and events, and tells consoles what changed."""
