"""Tests of proxies that the server makes itself: who may how often, and of which addresses."""

from collections.abc import Sequence
from typing import Final

from runwatch_server.access.rates import Buckets
from runwatch_shared.clock import Clock
from runwatch_shared.errors import RefusedError, SettingsError
from runwatch_shared.proxies import NodeProxy
from runwatch_shared.reaching.addresses import Allowed
from runwatch_shared.reaching.trying import (
    DEFAULT_TARGET,
    Net,
    Outcome,
    Target,
    target_of,
    try_proxy,
    way_of,
)

PER_MINUTE: Final = 6


class ProxyTester:
    """Tries proxies for administrators.

    Args:
        allow: The setting ``proxy_test_allow``.
        target_url: The setting ``proxy_test_url``.
        net: The network, this machine's unless given.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        allow: Sequence[str] = (),
        target_url: str = DEFAULT_TARGET,
        net: Net | None = None,
    ) -> None:
        self._clock = clock
        self._net = net
        self._buckets = Buckets(PER_MINUTE / 60, PER_MINUTE)
        self._allowed = allowed_of(allow)
        self._target_url = usable_url(target_url)

    def take(self, caller: str) -> None:
        """Count a test of somebody.

        Raises:
            RefusedError: 429 beyond six a minute.
        """
        self._buckets.take(caller, self._clock.monotonic())

    def target_url(self, asked: str | None) -> str:
        """What is to be asked for.

        Raises:
            RefusedError: 400: it is no URL that may be.
        """
        url = self._target_url if asked is None else asked
        _target(url)
        return url

    async def try_(self, proxy: NodeProxy, target_url: str) -> Outcome:
        """One request through it."""
        return await try_proxy(
            way_of(proxy), _target(target_url), allowed=self._allowed, net=self._net
        )


def allowed_of(entries: Sequence[str]) -> Allowed:
    """The setting ``proxy_test_allow``.

    Raises:
        SettingsError: An entry means nothing.
    """
    try:
        return Allowed.of(entries)
    except ValueError as error:
        raise SettingsError(f"proxy_test_allow: {error}") from None


def usable_url(url: str) -> str:
    """The setting ``proxy_test_url``.

    Raises:
        SettingsError: It is no URL that can be asked for.
    """
    try:
        target_of(url)
    except ValueError as error:
        raise SettingsError(f"proxy_test_url: {error}") from None
    return url


def _target(url: str) -> Target:
    try:
        return target_of(url)
    except ValueError:
        message = "target_url is no http or https URL that can be asked for"
        raise RefusedError("invalid_field", message, field="target_url") from None
