"""Agent sessions that were begun outside."""
