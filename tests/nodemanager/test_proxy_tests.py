"""Tests of proxies that the server asks a node for."""

from typing import Any

import pytest

from runwatch_nodemanager.proxy_tests import ProxyTests
from runwatch_shared.errors import SettingsError
from tests.proxying import HOST, http_proxy, target

PROXY: dict[str, Any] = {"enabled": True, "type": "http", "host": HOST}


async def test_a_node_tries_what_it_is_asked_for_once_and_tells(server, new_node):
    async with target() as there, http_proxy() as seen:
        url = f"http://{HOST}:{there.port}/"
        server.proxy_tests = {
            "proxy-1": {"proxy": PROXY | {"port": seen.port}, "target_url": url},
            "proxy-2": {"proxy": PROXY | {"port": 1}, "target_url": url},
            "proxy-3": {"proxy": PROXY | {"port": seen.port}, "target_url": "file:///etc/passwd"},
        }
        await new_node(proxy_test_allow=[HOST])
        await server.until(lambda: len(server.tested) == 3, timeout_s=20)
        beats = len(server.beats)
        await server.until(lambda: len(server.beats) >= beats + 2, timeout_s=20)
        assert len(seen.asked) == 1, "a directive that repeats is the same test"
    good, bad, odd = (server.tested[f"proxy-{n}"] for n in (1, 2, 3))
    assert (good["success"], good["status_code"]) == (True, 200)
    assert (bad["success"], bad["message"]) == (False, "the proxy cannot be reached")
    assert (odd["success"], odd["message"]) == (False, "this node cannot ask for such a target")


async def test_what_is_not_allowed_here_is_not_contacted(server, new_node):
    async with target() as there, http_proxy() as seen:
        url = f"http://{HOST}:{there.port}/"
        server.proxy_tests = {"proxy-1": {"proxy": PROXY | {"port": seen.port}, "target_url": url}}
        await new_node()
        await server.until(lambda: len(server.tested) == 1, timeout_s=20)
        assert (seen.asked, there.asked) == ([], [])
    assert "must not be contacted" in server.tested["proxy-1"]["message"]


def test_an_allowance_that_means_nothing_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="proxy_test_allow"):
        ProxyTests(None, ["10.0.0.0/99"])  # type: ignore[arg-type]  # not used
