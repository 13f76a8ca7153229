"""Tests of recordings, replay, rewind and demo."""
