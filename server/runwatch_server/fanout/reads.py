"""Reads of the store for sockets, a few at a time; the others wait, so that requests are not
refused because a thousand clients come back at once.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from runwatch_server.storage.protocols import Reader, ReadTx

T = TypeVar("T")

AT_ONCE: Final = 2
"""One of the readers' threads stays free for requests."""


class PatientReader:
    """A `storage.protocols.Reader` that waits its turn; who may wait is bounded by the sockets."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def read(self, work: Callable[[ReadTx], T]) -> T:
        """Run ``work`` on a snapshot that is taken when its turn has come."""
        async with self._turns:
            return await self._reader.read(work)
