"""Keeping a store and moving it: archives, backups, and whether what is stored agrees."""
