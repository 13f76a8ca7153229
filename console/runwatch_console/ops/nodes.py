"""Requests about one node: its ledger and its environment (contract 11.4, 14); each raises ApiError
and nothing else.
"""

from runwatch_console.ports import Asking
from runwatch_console.queries import path_part
from runwatch_shared.ledger import LedgerAnswer
from runwatch_shared.proxies import EnvConfig, ProxyTest


def _path(node_id: str, what: str) -> str:
    return f"/api/v1/nodes/{path_part(node_id)}/{what}"


async def ledger(api: Asking, node_id: str) -> LedgerAnswer:
    """What it was given against what it says runs there."""
    return await api.ask("GET", _path(node_id, "ledger"), LedgerAnswer)


async def environment(api: Asking, node_id: str) -> EnvConfig:
    """What its runs are started with."""
    return await api.ask("GET", _path(node_id, "env-config"), EnvConfig)


async def try_node_proxy(api: Asking, node_id: str) -> ProxyTest:
    """Whether the node gets out through its own proxy."""
    path = _path(node_id, "env-config/test-proxy")
    return await api.ask("POST", path, ProxyTest, once=True)
