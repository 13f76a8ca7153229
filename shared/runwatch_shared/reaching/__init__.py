"""Trying a proxy without being led where it must not lead (threat T10 of the requirements)."""
