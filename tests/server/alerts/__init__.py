"""Alerts by webhook."""
