"""Alerts by webhook: which changes make one, what it says, and bringing it to its receiver."""
