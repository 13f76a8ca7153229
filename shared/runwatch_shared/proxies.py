"""Proxies and what the runs of a node are started with (contract 14); no behaviour."""

from typing import Literal

from runwatch_shared.models import Record, Time

ProxyType = Literal["http", "https", "socks5"]
ProxyStatus = Literal["active", "inactive"]


class Proxy(Record, frozen=True, kw_only=True):
    """A way out. Its password is never told."""

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


class ProxyRequest(Record, frozen=True, kw_only=True):
    """POST and, with what is to change alone, PUT."""

    name: str | None = None
    type: ProxyType | None = None
    host: str | None = None
    port: int | None = None
    username: str | None = None
    password: str | None = None
    no_proxy: str | None = None
    is_default: bool | None = None
    status: ProxyStatus | None = None


class ProxyList(Record, frozen=True, kw_only=True):
    proxies: list[Proxy]
    count: int


class ProxyTestRequest(Record, frozen=True, kw_only=True):
    target_url: str | None = None


class ProxyTest(Record, frozen=True, kw_only=True):
    success: bool
    latency_ms: float | None = None
    status_code: int | None = None
    message: str


class EnvProxy(Record, frozen=True, kw_only=True):
    enabled: bool
    type: ProxyType
    host: str
    port: int
    username: str | None = None
    password: str | None = None
    no_proxy: str | None = None


class EnvResources(Record, frozen=True, kw_only=True):
    memory_limit: str | None = None
    cpu_limit: str | None = None


class EnvConfig(Record, frozen=True, kw_only=True):
    """What the runs of a node are started with."""

    proxy: EnvProxy | None = None
    env_vars: dict[str, str] | None = None
    resources: EnvResources | None = None
