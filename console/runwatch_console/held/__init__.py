"""Answers to requests from what this process holds itself: for a replay and for the demo."""
