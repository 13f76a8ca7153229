"""Tests, mirroring the tiers."""
