"""Tests of proxies that the server asks this node for: made here, since only from here they tell
what runs here will find.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from runwatch_nodemanager.link import AnswerError, Link
from runwatch_shared.errors import SettingsError, UnreachableError
from runwatch_shared.logs import log
from runwatch_shared.proxies import ProxyTestAnswer, ProxyTestOrder
from runwatch_shared.reaching.addresses import Allowed
from runwatch_shared.reaching.trying import Net, target_of, told, try_proxy, way_of

logger: Final = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 4
MOST_KNOWN: Final = 200


class ProxyTests:
    """Makes them, each once. Raises SettingsError for an ``allow`` that means nothing.

    Args:
        allow: The setting ``proxy_test_allow``.
        net: The network, this machine's unless given.
    """

    def __init__(self, link: Link, allow: Sequence[str], *, net: Net | None = None) -> None:
        self._link = link
        self._allowed = allowed_of(allow)
        self._net = net
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._done: dict[str, None] = {}
        self._asked = asyncio.Event()

    def ask(self, test_ids: Sequence[str] | None) -> None:
        """A directive names tests; those made already are nothing new."""
        if any(test_id not in self._done for test_id in test_ids or ()):
            self._asked.set()

    async def once(self) -> None:
        """Wait to be asked, and make what there is to make."""
        await self._asked.wait()
        self._asked.clear()
        try:
            orders = (await self._link.proxy_tests()).tests
        except (AnswerError, UnreachableError) as error:
            self._say(logging.WARNING, "Could not ask which proxies to test", error=str(error))
            return
        new = [order for order in orders if order.id not in self._done]
        for order in new:
            self._done[order.id] = None
        while len(self._done) > MOST_KNOWN:
            del self._done[next(iter(self._done))]
        async with asyncio.TaskGroup() as group:
            for order in new:
                group.create_task(self._make(order), name=f"proxy test {order.id}")

    async def _make(self, order: ProxyTestOrder) -> None:
        async with self._room:
            answer = await self._try(order)
        self._say(logging.INFO, "Tested a proxy", outcome=answer.message)
        try:
            await self._link.tell_proxy_test(order.id, answer)
        except (AnswerError, UnreachableError) as error:
            self._say(logging.WARNING, "Could not tell how a test went", error=str(error))

    async def _try(self, order: ProxyTestOrder) -> ProxyTestAnswer:
        try:
            target = target_of(order.target_url)
        except ValueError:
            return ProxyTestAnswer(success=False, message="this node cannot ask for such a target")
        way = way_of(order.proxy)
        return told(await try_proxy(way, target, allowed=self._allowed, net=self._net))

    def _say(
        self, level: int, sentence: str, *, outcome: str | None = None, error: str | None = None
    ) -> None:
        log(logger, level, "node", sentence, outcome=outcome, error=error)


def allowed_of(entries: Sequence[str]) -> Allowed:
    """The setting ``proxy_test_allow``.

    Raises:
        SettingsError: An entry means nothing.
    """
    try:
        return Allowed.of(entries)
    except ValueError as error:
        raise SettingsError(f"proxy_test_allow: {error}") from None
