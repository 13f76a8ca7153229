"""What is stored of proxies, of what nodes give their runs, and of tests that nodes are to make.

Passwords and values of variables are sealed (`vault`).
"""

from typing import ClassVar, Literal

from runwatch_server.kept import KeptRow, Place
from runwatch_server.rows import Row
from runwatch_shared.proxies import ProxyStatus, ProxyType, RunResources

TestStatus = Literal["asked", "answered"]


class ProxyRow(KeptRow, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "proxy"
    TOLD: ClassVar[bool] = False

    name: str
    type: ProxyType
    host: str
    port: int
    username: str | None = None
    password: str | None = None
    no_proxy: str | None = None
    is_default: bool = False
    status: ProxyStatus = "active"

    @property
    def place(self) -> Place:
        return Place(status=self.status, name=self.name)


class NodeProxyRow(Row, frozen=True, kw_only=True):
    """See `runwatch_shared.proxies.NodeProxy`."""

    enabled: bool
    type: ProxyType = "http"
    host: str = ""
    port: int = 0
    username: str | None = None
    password: str | None = None
    no_proxy: str | None = None


class EnvConfigRow(KeptRow, frozen=True, kw_only=True):
    """Of the node whose id it has."""

    KIND: ClassVar[str] = "env_config"
    TOLD: ClassVar[bool] = False

    proxy: NodeProxyRow | None = None
    env_vars: dict[str, str] | None = None
    resources: RunResources | None = None

    @property
    def place(self) -> Place:
        return Place(node_id=self.id)


class ProxyTestRow(KeptRow, frozen=True, kw_only=True):
    """A test a node is to make; removed once it was answered or nobody waits for it."""

    KIND: ClassVar[str] = "proxy_test"
    TOLD: ClassVar[bool] = False

    node_id: str
    proxy: NodeProxyRow
    target_url: str
    status: TestStatus = "asked"
    until_us: int
    success: bool = False
    latency_ms: int | None = None
    status_code: int | None = None
    message: str = ""

    @property
    def place(self) -> Place:
        return Place(node_id=self.node_id, status=self.status, due_us=self.until_us)
