"""Frames made once and given to many sockets, plain asyncio; no Starlette here."""
