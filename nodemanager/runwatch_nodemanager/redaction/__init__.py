"""Secrets out of text before it is kept: spellings of a secret, known key formats, the stream."""
