"""Requests about logins, accounts, instances, proxies and nodes, over any `ports.Asking`."""
