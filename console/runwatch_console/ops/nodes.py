"""Requests about what a node's runs are given (contract 14); each raises ApiError, nothing else."""

from runwatch_console.ports import Asking
from runwatch_console.queries import path_part
from runwatch_shared.proxies import EnvConfig, NodeProxyTestRequest, ProxyTestAnswer


def _path(node_id: str, what: str) -> str:
    return f"/api/v1/nodes/{path_part(node_id)}/{what}"


async def environment(api: Asking, node_id: str) -> EnvConfig:
    """What its runs are started with."""
    return await api.ask("GET", _path(node_id, "env-config"), EnvConfig)


async def set_environment(api: Asking, node_id: str, config: EnvConfig) -> EnvConfig:
    """Give its runs this from now on; a password that is `***` stays the one that is kept."""
    return await api.ask("PUT", _path(node_id, "env-config"), EnvConfig, body=config)


async def try_node_proxy(api: Asking, node_id: str) -> ProxyTestAnswer:
    """Whether the node gets out through its own proxy."""
    path = _path(node_id, "env-config/test-proxy")
    return await api.ask("POST", path, ProxyTestAnswer, body=NodeProxyTestRequest(), once=True)
