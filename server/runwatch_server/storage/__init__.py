"""Stores behind the protocols of `protocols.py`; the only place that knows database drivers."""
