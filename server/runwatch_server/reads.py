"""Reads in a few threads, each on a snapshot of its own, and a bound on what may wait for one."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from runwatch_server.ingest import STOP_S, kind_of
from runwatch_server.storage.observing import WriteObserver
from runwatch_server.storage.protocols import ReadTx, Store
from runwatch_shared.errors import OverloadedError, StoreError, StoreUnavailableError
from runwatch_shared.logs import log

logger: Final = logging.getLogger(__name__)

T = TypeVar("T")

READERS: Final = 3
WAITING_READS: Final = 512


class ReaderPool:
    """`protocols.Reader`: a few threads, a snapshot a read, and a bound on what may wait."""

    def __init__(
        self,
        store: Store,
        *,
        threads: int = READERS,
        waiting: int = WAITING_READS,
        observer: WriteObserver | None = None,
    ) -> None:
        self._store = store
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="store-reader")
        self._limit = threads + waiting
        self._observer = observer
        self._under_way = 0
        self._stopping = False
        self._idle = asyncio.Event()

    async def read(self, work: Callable[[ReadTx], T]) -> T:
        """Run ``work`` on a snapshot.

        Raises:
            OverloadedError: Too many reads are waiting.
            StoreError: The store failed.
        """
        if self._stopping:
            raise StoreUnavailableError("the server is stopping")
        if self._under_way >= self._limit:
            raise OverloadedError("too many reads are waiting")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._executor, self._read, work
            )
        except StoreError as error:
            if self._observer is not None:
                self._observer.failed(kind_of(error))
            raise
        finally:
            self._ended()

    async def stop(self, timeout_s: float = STOP_S) -> bool:
        """Take nothing more and wait for what is under way; gives whether all ended in time."""
        self._stopping = True
        self._executor.shutdown(wait=False)
        if not self._under_way:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            log(
                logger,
                logging.ERROR,
                "store",
                "Reads did not end in time",
                event="stop",
                count=self._under_way,
            )
            return False
        return True

    def _ended(self) -> None:
        self._under_way -= 1
        if self._stopping and not self._under_way:
            self._idle.set()

    def _read(self, work: Callable[[ReadTx], T]) -> T:
        with self._store.read() as tx:
            return work(tx)
