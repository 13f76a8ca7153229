"""Trying proxies: which addresses, and through what."""
