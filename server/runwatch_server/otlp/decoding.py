"""Decoding bodies beside the event loop: one at a time, a bounded number of them waiting."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, Literal

from runwatch_server.otlp import json_body, protobuf
from runwatch_server.otlp.intake import Delivery, taken_apart
from runwatch_server.otlp.records import Signal
from runwatch_server.otlp.unpacking import unpacked
from runwatch_shared.errors import OverloadedError
from runwatch_shared.settings import ServerSettings

Encoding = Literal["json", "protobuf"]

MOST_BODIES: Final = 16
"""Read, decoded or waiting for it; the sender of the next one is told to come back."""
_DECODERS: Final = {"json": json_body.DECODERS, "protobuf": protobuf.DECODERS}


class OtlpDecoder:
    """A thread for what takes long: a body of 16 MiB decodes for about a second."""

    def __init__(self, settings: ServerSettings) -> None:
        self._keep = settings.otlp_keep_prompts
        self._most_bytes = settings.limits.otlp_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="otlp")
        self._under_way = 0

    @asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """A place for one body, from reading it until it is taken.

        Raises:
            OverloadedError: There is none.
        """
        if self._under_way >= MOST_BODIES:
            raise OverloadedError("too many bodies of telemetry are being taken")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def delivery(
        self, signal: Signal, body: bytes, *, packed: bytes, encoding: Encoding
    ) -> Delivery:
        """A body's records by session.

        Args:
            packed: Its ``Content-Encoding``.

        Raises:
            RefusedError: 400 or 413.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, self._decode, signal, body, packed, encoding
        )

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _decode(self, signal: Signal, body: bytes, packed: bytes, encoding: Encoding) -> Delivery:
        plain = unpacked(body, packed, self._most_bytes)
        return taken_apart(_DECODERS[encoding][signal](plain), keep=self._keep)
