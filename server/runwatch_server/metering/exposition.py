"""Rendering the registry for Prometheus, with what is present now looked up for each scrape."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import cast

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.registry import Collector

from runwatch_server.metering.present import Present
from runwatch_server.projection import Projection
from runwatch_server.storage.protocols import Query, Reader, ReadTx
from runwatch_shared.clock import Clock
from runwatch_shared.errors import RunwatchError


class Exposition:
    """Renders the registry, in a thread: a thousand lines would hold up the event loop."""

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        projection: Projection,
        reader: Reader,
        clock: Clock,
        wal_bytes: Callable[[], int],
        search_behind: Callable[[], int] = lambda: 0,
        disk_free_bytes: Callable[[], int] = lambda: 0,
        instances: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._registry = registry
        self._present = Present(projection)
        self._registry.register(cast(Collector, self._present))
        self._reader = reader
        self._clock = clock
        self._wal_bytes = wal_bytes
        self._search_behind = search_behind
        self._disk_free_bytes = disk_free_bytes
        self._instances = instances
        self._oldest_us: int | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._rendering = asyncio.Lock()

    async def render(self, *, openmetrics: bool) -> tuple[bytes, bytes]:
        """(content type, body) in the text format 0.0.4, or in OpenMetrics."""
        loop = asyncio.get_running_loop()
        async with self._rendering:
            with suppress(RunwatchError):  # a scrape must tell of a store that fails
                self._oldest_us = await self._reader.read(_oldest_queued_us)
            self._present.look(
                now_us=self._clock.now_us(),
                oldest_queued_us=self._oldest_us,
                wal_bytes=self._wal_bytes(),
                search_behind=self._search_behind(),
                disk_free_bytes=self._disk_free_bytes(),
                instances=self._instances(),
            )
            if openmetrics:
                body = await loop.run_in_executor(
                    self._thread, openmetrics_exposition.generate_latest, self._registry
                )
                return openmetrics_exposition.CONTENT_TYPE_LATEST.encode(), body
            body = await loop.run_in_executor(self._thread, generate_latest, self._registry)
            return b"text/plain; version=0.0.4; charset=utf-8", body

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _oldest_queued_us(tx: ReadTx) -> int | None:
    query = Query(status=("queued",), sort="start_time", descending=False, limit=1)
    rows = tx.runs.page(query)
    return rows[0].created_us if rows else None
