"""Who may use which route: one row a method and path; a route without a row stops the server.

Source: contract 2.3 and the scope columns of 2.4, 3, 4, 6, 8, 9, 11, 13, 14 and 15.
"""

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from runwatch_shared.errors import SettingsError
from runwatch_shared.models import Scope

RouteKey = tuple[str, str]
"""Method and path template. Sockets have the method ``WEBSOCKET``."""


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What a route asks of a caller.

    ``public`` asks nothing at all. ``credential``: even where reading needs none. ``asked`` is the
    least scope, for the refusal. ``reports``: what comes here is what nodes and scripts report,
    kept as history itself, so the audit log holds refusals of it alone.
    """

    scopes: frozenset[Scope] = frozenset()
    public: bool = False
    credential: bool = False
    asked: Scope = "viewer"
    reports: bool = False


_READERS: Final[frozenset[Scope]] = frozenset({"viewer", "operator", "admin"})
_WRITERS: Final[frozenset[Scope]] = frozenset({"operator", "admin"})
_NODES: Final[frozenset[Scope]] = frozenset({"node"})

P: Final = Need(public=True)
V: Final = Need(scopes=_READERS)
VN: Final = Need(scopes=_READERS | _NODES)
SELF: Final = Need(scopes=_READERS | _NODES, credential=True)
VC: Final = Need(scopes=_READERS, credential=True)
O: Final = Need(scopes=_WRITERS, asked="operator")  # noqa: E741 - the contract's letter
A: Final = Need(scopes=frozenset({"admin"}), asked="admin")
N: Final = Need(scopes=frozenset({"node", "admin"}), asked="node", reports=True)
NO: Final = Need(scopes=_NODES | _WRITERS, asked="node", reports=True)
METRICS: Final = Need(scopes=_READERS)
"""A reader's, or public where the settings say so; see `auth`."""

_API: Final = "/api/v1"
INSTANCES: Final = ("agents", "instances")
"""One thing under two names (contract 14)."""
HITL: Final = ("approvals", "feedbacks", "interventions", "confirmations", "hitl/pending")
HITL_TREES: Final = ("approvals", "feedbacks", "interventions", "confirmations", "hitl")
LATER_LISTS: Final = (
    "terminal-sessions",
    "terminals",
    "terminal/session",
    "nodes/{id}/terminal-sessions",
    "node-provisions",
    "task-templates",
    "agent-templates",
    "skills",
    "mcp-servers",
    "security-policies",
)


ANY: Final = "*"
"""A row for every method that has no row of its own."""

ACCESS: Final[dict[RouteKey, Need]] = {
    ("GET", "/health"): P,
    ("GET", "/livez"): P,
    ("GET", "/readyz"): P,
    ("GET", "/ca.pem"): P,
    ("GET", "/metrics"): METRICS,
    ("GET", f"{_API}/node-bootstrap"): P,
    ("GET", f"{_API}/openapi.json"): P,
    ("GET", f"{_API}/server"): VN,
    ("POST", f"{_API}/auth/login"): P,
    ("POST", f"{_API}/auth/refresh"): P,
    ("POST", f"{_API}/auth/register"): P,
    ("POST", f"{_API}/auth/logout"): VC,
    ("GET", f"{_API}/auth/me"): SELF,
    ("PUT", f"{_API}/auth/password"): VC,
    ("POST", f"{_API}/auth/tokens"): A,
    ("GET", f"{_API}/auth/tokens"): A,
    ("DELETE", f"{_API}/auth/tokens/{{id}}"): A,
    ("GET", f"{_API}/monitor/workflows"): V,
    ("GET", f"{_API}/monitor/workflows/{{type}}/{{id}}"): V,
    ("GET", f"{_API}/monitor/workflows/{{type}}/{{id}}/events"): V,
    ("GET", f"{_API}/monitor/workflows/{{type}}/{{id}}/steps"): V,
    ("GET", f"{_API}/monitor/stats"): V,
    ("GET", f"{_API}/monitor/stats/history"): V,
    ("WEBSOCKET", "/ws/monitor"): V,
    ("GET", "/ws/monitor"): V,
    ("WEBSOCKET", "/ws/runs/{id}/events"): V,
    ("GET", "/ws/runs/{id}/events"): V,
    ("WEBSOCKET", "/ws/workflows/{type}/{id}/events"): V,
    ("GET", "/ws/workflows/{type}/{id}/events"): V,
    ("POST", f"{_API}/tasks"): O,
    ("GET", f"{_API}/tasks"): V,
    ("GET", f"{_API}/tasks/{{id}}"): V,
    ("PATCH", f"{_API}/tasks/{{id}}"): O,
    ("DELETE", f"{_API}/tasks/{{id}}"): O,
    ("GET", f"{_API}/tasks/{{id}}/subtasks"): V,
    ("GET", f"{_API}/tasks/{{id}}/tree"): V,
    ("PUT", f"{_API}/tasks/{{id}}/context"): O,
    ("POST", f"{_API}/tasks/{{id}}/runs"): O,
    ("GET", f"{_API}/tasks/{{id}}/runs"): V,
    ("GET", f"{_API}/runs/{{id}}"): VN,
    ("PATCH", f"{_API}/runs/{{id}}"): NO,
    ("POST", f"{_API}/runs/{{id}}/cancel"): O,
    ("POST", f"{_API}/runs/{{id}}/retry"): O,
    ("POST", f"{_API}/runs/{{id}}/claim"): N,
    ("POST", f"{_API}/runs/{{id}}/events"): NO,
    ("GET", f"{_API}/runs/{{id}}/events"): VN,
    ("POST", f"{_API}/nodes/heartbeat"): N,
    ("POST", f"{_API}/nodes/join"): P,
    ("POST", f"{_API}/nodes/join-tokens"): A,
    ("GET", f"{_API}/nodes"): V,
    ("GET", f"{_API}/nodes/{{id}}"): VN,
    ("PATCH", f"{_API}/nodes/{{id}}"): O,
    ("DELETE", f"{_API}/nodes/{{id}}"): A,
    ("POST", f"{_API}/nodes/{{id}}/drain"): O,
    ("POST", f"{_API}/nodes/{{id}}/resume"): O,
    ("GET", f"{_API}/nodes/{{id}}/ledger"): V,
    ("GET", f"{_API}/nodes/{{id}}/env-config"): A,
    ("PUT", f"{_API}/nodes/{{id}}/env-config"): A,
    ("POST", f"{_API}/nodes/{{id}}/env-config/test-proxy"): A,
    ("GET", f"{_API}/nodes/{{id}}/proxy-tests"): N,
    ("POST", f"{_API}/nodes/{{id}}/proxy-tests/{{test}}"): N,
    ("GET", f"{_API}/proxies"): V,
    ("POST", f"{_API}/proxies"): A,
    ("GET", f"{_API}/proxies/{{id}}"): V,
    ("PUT", f"{_API}/proxies/{{id}}"): A,
    ("DELETE", f"{_API}/proxies/{{id}}"): A,
    ("POST", f"{_API}/proxies/{{id}}/test"): A,
    ("GET", f"{_API}/nodes/{{id}}/runs"): VN,
    ("POST", f"{_API}/nodes/{{id}}/runs"): N,
    ("GET", f"{_API}/nodes/{{id}}/actions"): N,
    ("POST", f"{_API}/operations"): O,
    ("GET", f"{_API}/operations"): V,
    ("GET", f"{_API}/operations/{{id}}"): V,
    ("POST", f"{_API}/operations/{{id}}/cancel"): O,
    ("GET", f"{_API}/actions/{{id}}"): VN,
    ("PATCH", f"{_API}/actions/{{id}}"): N,
    ("POST", f"{_API}/actions/{{id}}/input"): O,
    ("GET", f"{_API}/agent-types"): VN,
    ("GET", f"{_API}/agent-types/{{id}}"): VN,
    ("POST", f"{_API}/accounts"): O,
    ("GET", f"{_API}/accounts"): VN,
    ("GET", f"{_API}/accounts/{{id}}"): VN,
    ("DELETE", f"{_API}/accounts/{{id}}"): O,
    ("PUT", f"{_API}/accounts/{{id}}/volume-archive"): N,
    ("GET", f"{_API}/accounts/{{id}}/volume-archive"): N,
    ("GET", f"{_API}/nodes/{{id}}/agents"): N,
    **{("GET", f"{_API}/{name}"): VN for name in INSTANCES},
    **{("POST", f"{_API}/{name}"): O for name in INSTANCES},
    **{("GET", f"{_API}/{name}/{{id}}"): VN for name in INSTANCES},
    **{("PATCH", f"{_API}/{name}/{{id}}"): N for name in INSTANCES},
    **{("DELETE", f"{_API}/{name}/{{id}}"): O for name in INSTANCES},
    **{("POST", f"{_API}/{name}/{{id}}/start"): O for name in INSTANCES},
    **{("POST", f"{_API}/{name}/{{id}}/stop"): O for name in INSTANCES},
    **{("POST", f"/v1/{signal}"): NO for signal in ("logs", "metrics", "traces")},
    **{("GET", f"{_API}/{path}"): V for path in LATER_LISTS},
    **{("GET", f"{_API}/runs/{{id}}/{name}"): V for name in HITL},
    **{(ANY, f"{_API}/{path}"): O for path in LATER_LISTS},
    **{("GET", f"{_API}/{path}/{{rest:path}}"): V for path in LATER_LISTS},
    **{(ANY, f"{_API}/{path}/{{rest:path}}"): O for path in LATER_LISTS},
    **{(ANY, f"{_API}/runs/{{id}}/{name}"): O for name in HITL},
    **{("GET", f"{_API}/runs/{{id}}/{name}/{{rest:path}}"): V for name in HITL_TREES},
    **{(ANY, f"{_API}/runs/{{id}}/{name}/{{rest:path}}"): O for name in HITL_TREES},
    (ANY, f"{_API}/config"): A,
    (ANY, f"{_API}/config/{{rest:path}}"): A,
}


def check_complete(routes: Iterable[RouteKey], table: Collection[RouteKey]) -> None:
    """Stop the start where routes and rows differ.

    Raises:
        SettingsError: A route has no row, or a row no route.
    """
    wanted, rows = set(routes), set(table)
    if missing := sorted(wanted - rows):
        raise SettingsError(f"routes without a row in the access table: {missing}")
    if left := sorted(rows - wanted):
        raise SettingsError(f"rows of the access table without a route: {left}")
