"""Runs in real containers, on a Podman of the tests' own."""
