"""Pages of one run's stored events, read once for all followers that are at the same place.

A page ends at a round number, so that followers who began anywhere soon read the same pages. Pages
that are full never change but by retention, and are kept while others may come by; the newest, not
full one is shared only by those who wait for it.
"""

from collections import OrderedDict
from typing import Final, Generic, TypeVar

from runwatch_server.fanout.pages import Page

F = TypeVar("F")

KEPT_BYTES: Final = 2 * 1024 * 1024
"""Of one run in one form."""

Place = tuple[int, bool]
"""The number after which a page begins, and whether it is for ``batch``."""


class Replays(Generic[F]):
    """The reads under way of one run in one form, and its full pages read last."""

    def __init__(self, limit_bytes: int = KEPT_BYTES) -> None:
        self.bytes = 0
        self._limit_bytes = limit_bytes
        self._waiting: dict[Place, list[F]] = {}
        self._pages: OrderedDict[Place, Page] = OrderedDict()

    def kept(self, place: Place) -> Page | None:
        """A page that was read and is full."""
        page = self._pages.get(place)
        if page is not None:
            self._pages.move_to_end(place)
        return page

    def wait(self, place: Place, follower: F) -> bool:
        """Let a follower wait for a page; whether it is the first, and the page must be read."""
        waiting = self._waiting.setdefault(place, [])
        waiting.append(follower)
        return len(waiting) == 1

    def read(self, place: Place, page: Page | None) -> list[F]:
        """Who waited for a page that is read now; None: it could not be, or the run is gone."""
        if page is not None and not page.reached_end and page.bursts:
            self._pages[place] = page
            self.bytes += page.size
            while self.bytes > self._limit_bytes and len(self._pages) > 1:
                self.bytes -= self._pages.popitem(last=False)[1].size
        return self._waiting.pop(place, [])
