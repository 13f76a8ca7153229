"""Proxies and what a node's runs are given, as contract 14 draws them; no behaviour."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from runwatch_shared.models import NodeId, Record, Time

ProxyType = Literal["http", "https", "socks5"]
ProxyStatus = Literal["active", "inactive"]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
NAME_CHARS = 200
HOST_CHARS = 253
LOGIN_CHARS = 255
"""Of a user name or password, in bytes: what SOCKS5 can carry (RFC 1929)."""
NO_PROXY_CHARS = 4096
HIDDEN = "***"
"""Stands for a password that is set; sent back, it means the one that is kept."""
PROXY_PARAMETER = "proxy_id"
"""In ``agent.parameters``: the proxy of a run, by its id."""
NO_PROXY_AT_ALL = "none"
"""In the place of an id: the run goes without."""


def _http() -> ProxyType:
    return "http"


class Proxy(Record, frozen=True, kw_only=True):
    """A proxy; its password is never returned."""

    id: str
    name: str
    type: ProxyType
    host: str
    port: int
    username: str | None = None
    no_proxy: str | None = None
    is_default: bool
    status: ProxyStatus
    created_at: Time
    updated_at: Time


class ProxyList(Record, frozen=True, kw_only=True):
    proxies: list[Proxy]
    count: int


class ProxyInput(Record, frozen=True, kw_only=True):
    """POST, and PUT with what is to change; ``null`` takes away what may be missing.

    ``url`` and ``protocol`` stand for type, host, port, user name and password (contract 17).
    """

    name: str | UnsetType = UNSET
    type: ProxyType | UnsetType = UNSET
    host: str | UnsetType = UNSET
    port: Port | UnsetType = UNSET
    username: str | UnsetType | None = UNSET
    password: str | UnsetType | None = UNSET
    no_proxy: str | UnsetType | None = UNSET
    is_default: bool | UnsetType = UNSET
    status: ProxyStatus | UnsetType = UNSET
    url: str | UnsetType = UNSET
    protocol: ProxyType | UnsetType = UNSET


class ProxyTestRequest(Record, frozen=True, kw_only=True):
    target_url: str | None = None


class ProxyTestAnswer(Record, frozen=True, kw_only=True):
    """Of what was sent back nothing but the status."""

    success: bool
    latency_ms: int | None = None
    status_code: int | None = None
    message: str


class NodeProxy(Record, frozen=True, kw_only=True):
    """The proxy of a node's runs. Not ``enabled``: they go without, whatever the default is."""

    enabled: bool
    type: ProxyType = msgspec.field(default_factory=_http)
    host: str = msgspec.field(default_factory=str)
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = msgspec.field(default_factory=int)
    username: str | None = None
    password: str | None = None
    no_proxy: str | None = None


class RunResources(Record, frozen=True, kw_only=True):
    """Most that a run may use, below what the node's own settings allow.

    ``memory_limit``: bytes, or with a unit (``512m``, ``4g``, ``2Gi``). ``cpu_limit``: processors,
    or thousandths (``500m``).
    """

    memory_limit: str | int | None = None
    cpu_limit: str | float | None = None


class EnvConfig(Record, frozen=True, kw_only=True):
    """What a node's runs get. With a claim: what this run gets, its password open."""

    proxy: NodeProxy | None = None
    env_vars: dict[str, str] | None = None
    resources: RunResources | None = None


class NodeProxyTestRequest(Record, frozen=True, kw_only=True):
    """POST …/env-config/test-proxy. Without ``proxy`` the one that is kept is tried."""

    proxy: NodeProxy | None = None
    target_url: str | None = None


class ProxyTestOrder(Record, frozen=True, kw_only=True):
    """What its node is to try."""

    id: str
    proxy: NodeProxy
    target_url: str


class NodeProxyTests(Record, frozen=True, kw_only=True):
    """GET /nodes/{id}/proxy-tests: those nobody has answered."""

    node_id: NodeId
    tests: list[ProxyTestOrder]
