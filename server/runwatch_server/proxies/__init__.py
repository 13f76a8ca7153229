"""Proxies, and what runs of a node are given: proxy, variables, limits (contract 14)."""
