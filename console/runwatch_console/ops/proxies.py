"""Requests about proxies (contract 14); each raises ApiError and nothing else."""

from typing import Final

from runwatch_console.ports import Asking
from runwatch_console.queries import path_part
from runwatch_shared.proxies import (
    Proxy,
    ProxyInput,
    ProxyList,
    ProxyTestAnswer,
    ProxyTestRequest,
)

PROXIES: Final = "/api/v1/proxies"


async def proxies(api: Asking) -> list[Proxy]:
    """All of them."""
    return (await api.ask("GET", PROXIES, ProxyList)).proxies


async def add_proxy(api: Asking, request: ProxyInput) -> Proxy:
    """Add one."""
    return await api.ask("POST", PROXIES, Proxy, body=request, once=True)


async def change_proxy(api: Asking, proxy_id: str, request: ProxyInput) -> Proxy:
    """Change what the request names."""
    return await api.ask("PUT", f"{PROXIES}/{path_part(proxy_id)}", Proxy, body=request)


async def delete_proxy(api: Asking, proxy_id: str) -> None:
    """Delete it."""
    await api.ask("DELETE", f"{PROXIES}/{path_part(proxy_id)}", object, once=True)


async def try_proxy(api: Asking, proxy_id: str, target_url: str = "") -> ProxyTestAnswer:
    """Whether the server gets out through it."""
    body = ProxyTestRequest(target_url=target_url or None)
    path = f"{PROXIES}/{path_part(proxy_id)}/test"
    return await api.ask("POST", path, ProxyTestAnswer, body=body, once=True)
