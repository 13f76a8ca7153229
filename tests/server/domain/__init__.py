"""Tests of the server's pure domain: folding, accounting, tallies, records."""
