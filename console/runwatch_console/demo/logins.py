"""The logins, accounts, instances, proxies and environments of the made-up fleet, in time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from runwatch_console.demo import names
from runwatch_shared.instances import Instance, InstanceId, InstanceStatus
from runwatch_shared.logins import OperationRequest, account_id
from runwatch_shared.models import Account, NodeId, StatusSource, Waiting, WorkflowSummary
from runwatch_shared.proxies import EnvConfig, NodeProxy, Proxy, RunResources
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_optional_time, format_time

SECOND: Final = MICROSECONDS_PER_SECOND
URL: Final = "https://auth.example.com/device"
OAUTH_URL: Final = "https://auth.example.com/authorize?state=rw-demo&code_challenge=demo"
CODE: Final = "QXTR-LMVD"
DEADLINE_US: Final = 15 * 60 * SECOND
TEAM: Final = account_id(names.CODEX.type, "team@example.com")
OPS: Final = account_id(names.CLAUDE.type, "ops@example.com")

_STEPS: Final[Mapping[str, tuple[tuple[float, str, str], ...]]] = {
    "device_code": (
        (0.0, "assigned", "initializing"),
        (0.6, "running", "requesting_device_code"),
        (1.2, "waiting", "waiting_device_code"),
        (25.0, "running", "verifying_credentials"),
        (26.0, "success", "finalizing"),
    ),
    "oauth": (
        (0.0, "assigned", "initializing"),
        (0.6, "running", "authenticating"),
        (1.2, "waiting", "waiting_input"),
    ),
    "api_key": (
        (0.0, "assigned", "initializing"),
        (0.8, "running", "verifying_credentials"),
        (1.6, "success", "finalizing"),
    ),
}
"""Seconds after the begin, status and phase; a browser's login waits for its code."""
_AFTER_INPUT: Final = ((0.0, "running", "verifying_credentials"), (1.0, "success", "finalizing"))
_STATES: Final = {"assigned": "pending", "success": "completed"}
_PROGRESS: Final = {"assigned": 25, "running": 50, "waiting": 75}


@dataclass(slots=True)
class Begun:
    """A login that somebody began here."""

    id: str
    request: OperationRequest
    begun_us: int
    fed_us: int | None = None
    cancelled_us: int | None = None

    @property
    def account(self) -> str:
        """The id of its account."""
        return account_id(self.request.config.agent_type, self.request.config.name)

    def steps(self, now_us: int) -> list[tuple[int, str, str]]:
        """Those it went through by now: when, status, phase."""
        found = [
            (self.begun_us + round(after * SECOND), status, phase)
            for after, status, phase in _STEPS[self.request.type]
        ]
        if self.fed_us is not None:
            fed_us = self.fed_us
            found += [
                (fed_us + round(after * SECOND), status, phase)
                for after, status, phase in _AFTER_INPUT
            ]
        elif self.request.type == "oauth":
            found.append((self.begun_us + DEADLINE_US, "timeout", "waiting_input"))
        if self.cancelled_us is not None:
            found = [step for step in found if step[0] <= self.cancelled_us]
            found.append((self.cancelled_us, "cancelled", found[-1][2]))
        return [step for step in found if step[0] <= now_us]

    def row(self, now_us: int, revision: int) -> WorkflowSummary:
        """As the monitor shows it (contract 5.6)."""
        steps = self.steps(now_us)
        at_us, status, phase = steps[-1]
        ended = status not in _PROGRESS
        state = _STATES.get(status, "failed" if ended else status)
        config = self.request.config
        metadata = {
            "account_id": self.account,
            "method": str(self.request.type),
            "operation_id": f"op-{self.id.removeprefix('act-')}",
            "action_id": self.id,
            "phase": phase,
            "message": phase.replace("_", " "),
        }
        if status == "waiting":
            device = self.request.type == "device_code"
            metadata |= {"verify_url": URL, "user_code": CODE} if device else {
                "verify_url": OAUTH_URL,
                "input_prompt": "Paste code here if prompted >",
            }  # fmt: skip
            metadata["expires_at"] = format_time(self.begun_us + DEADLINE_US)
        return WorkflowSummary(
            id=self.id,
            type="auth",
            name=f"{config.agent_type} login: {config.name}",
            state=state,  # type: ignore[arg-type]  # of contract 6.2
            progress=_PROGRESS.get(status, 100),
            status=status,
            cancelling=False,
            event_count=len(steps),
            last_seq=len(steps),
            start_time=format_time(self.begun_us),
            started_at=format_optional_time(steps[1][0] if len(steps) > 1 else None),
            end_time=format_time(at_us) if ended else None,
            update_time=format_time(at_us),
            last_activity_at=format_time(at_us),
            activity_text=phase.replace("_", " "),
            node_id=NodeId(self.request.node_id),
            agent_type=config.agent_type,
            account_id=self.account,
            labels={},
            error="nobody gave the code in time" if status == "timeout" else None,
            health="ok",
            waiting=Waiting(
                kind="login",
                since=format_time(at_us),
                prompt=f"log in at {metadata['verify_url']}",
                deadline=metadata["expires_at"],
                on_expiry="fail",
                open=1,
                holds_slot=False,
            )
            if status == "waiting"
            else None,
            usage=None,
            tool_calls=0,
            tool_failures=0,
            open_tools=0,
            revision=revision,
            status_source=StatusSource(kind="node", at=format_time(at_us)),
            attention={"waiting": 4, "running": 2, "pending": 1}.get(state, 0),
            metadata=metadata,
        )


@dataclass(slots=True)
class Kept:
    """What there is beside runs and nodes; `at_us` is when the fleet began."""

    at_us: int
    begun: dict[str, Begun] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    instances: dict[str, Instance] = field(default_factory=dict)
    proxies: dict[str, Proxy] = field(default_factory=dict)
    _serial: "count[int]" = field(default_factory=lambda: count(0xD100))

    def __post_init__(self) -> None:
        self.instances = {
            each.id: each
            for each in (
                self.instance("ops-shell", OPS, names.CLAUDE.type, "n1", "running"),
                self.instance("team-sandbox", TEAM, names.CODEX.type, "n2", "stopped"),
            )
        }
        self.add_proxy({"name": "office", "type": "http", "host": "proxy.example", "port": 3128})

    def new_id(self, prefix: str) -> str:
        """The next id of a kind."""
        return f"{prefix}-{next(self._serial):012x}"

    def begin(self, request: OperationRequest, now_us: int) -> Begun:
        """A login begins."""
        login = Begun(id=self.new_id("act"), request=request, begun_us=now_us)
        self.begun[login.id] = login
        self.forgotten.discard(login.account)
        return login

    def accounts(self, now_us: int, blocked: int) -> list[Account]:
        """Those that were there, and those that logins made."""
        found = {
            TEAM: self._account(TEAM, names.CODEX.type, "authenticating", ["n1", "n2"], blocked),
            OPS: self._account(OPS, names.CLAUDE.type, "authenticated", ["n1", "n2", "n3", "n5"]),
        }
        for login in self.begun.values():
            _, status, _ = login.steps(now_us)[-1]
            nodes = [login.request.node_id] if status == "success" else []
            before = found.get(login.account)
            if before is not None:
                nodes = sorted({*before.nodes, *nodes})
            told = {"success": "authenticated"}.get(
                status, "authenticating" if status in _PROGRESS else "pending"
            )
            if before is not None and before.status == "authenticated":
                told = "authenticated"
            found[login.account] = self._account(
                login.account, login.request.config.agent_type, told, nodes
            )
        return [each for key, each in found.items() if key not in self.forgotten]

    def _account(
        self, key: str, agent: str, status: str, nodes: list[str], blocked: int = 0
    ) -> Account:
        begun = [login for login in self.begun.values() if login.account == key]
        known = {TEAM: "team@example.com", OPS: "ops@example.com"}
        return Account(
            id=key,
            name=begun[-1].request.config.name if begun else known[key],
            agent_type=agent,
            status=status,  # type: ignore[arg-type]  # of the four
            expires_at=format_time(self.at_us + 9 * 24 * 3600 * SECOND),
            last_used_at=format_time(self.at_us) if key == OPS else None,
            last_401_at=format_time(self.at_us - 1800 * SECOND) if key == TEAM else None,
            nodes=[NodeId(node) for node in nodes],
            blocked_runs=blocked,
            created_at=format_time(self.at_us),
            updated_at=format_time(self.at_us),
            revision=1,
        )

    def instance(
        self, name: str, account: str, agent: str, node: str, status: InstanceStatus
    ) -> Instance:
        """An instance; `id` and container follow from its number."""
        key = self.new_id("agent")
        at = format_time(self.at_us)
        return Instance(
            id=InstanceId(key),
            name=name,
            account_id=account,
            agent_type_id=agent,
            container_name=f"runwatch-{key}",
            node_id=node,
            status=status,
            created_at=at,
            updated_at=at,
            revision=1,
        )

    def add_proxy(self, facts: Mapping[str, Any]) -> Proxy:
        """A proxy of these facts; the first is the default."""
        at = format_time(self.at_us)
        proxy = Proxy(
            id=self.new_id("proxy"),
            name=str(facts["name"]),
            type=facts["type"],
            host=str(facts["host"]),
            port=int(facts["port"]),
            username=facts.get("username"),
            no_proxy=facts.get("no_proxy"),
            is_default=not self.proxies,
            status=facts.get("status", "active"),
            created_at=at,
            updated_at=at,
        )
        self.proxies[proxy.id] = proxy
        return proxy


def environment_of(node_id: str) -> EnvConfig:
    """What the runs of a made-up node are started with."""
    if node_id != "n5":
        return EnvConfig()
    return EnvConfig(
        proxy=NodeProxy(
            enabled=True, type="http", host="proxy.example", port=3128, username="builder",
            password="***",
        ),
        env_vars={"CI": "1", "NPM_CONFIG_REGISTRY": "https://npm.example/"},
        resources=RunResources(memory_limit="8g", cpu_limit="4"),
    )  # fmt: skip
