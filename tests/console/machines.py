"""What a scripted server says of instances, proxies, environments and ledgers, and of logins."""

from typing import Any

from runwatch_shared.instances import Instance, InstanceList
from runwatch_shared.ledger import LedgerAnswer, LedgerRow
from runwatch_shared.logins import AgentType, AgentTypeList, OperationMade
from runwatch_shared.proxies import (
    EnvConfig,
    NodeProxy,
    Proxy,
    ProxyList,
    ProxyTestAnswer,
    RunResources,
)
from tests.console.records import at

NODES = ("n1", "n2", "n3", "n4", "n5", "n6")
INSTANCE = "agent-0000000000a1"
PROXY = "proxy-0000000000b1"


def instance(instance_id: str = INSTANCE, **more: Any) -> Instance:
    """An instance."""
    facts: dict[str, Any] = {
        "id": instance_id,
        "name": "sandbox",
        "account_id": "claude-code_ops",
        "agent_type_id": "claude-code",
        "container_name": "runwatch-sandbox",
        "node_id": "n1",
        "status": "running",
        "created_at": at(9_000),
        "updated_at": at(600),
        "revision": 1,
    }
    return Instance(**(facts | more))


def proxy(proxy_id: str = PROXY, **more: Any) -> Proxy:
    """A proxy."""
    facts: dict[str, Any] = {
        "id": proxy_id,
        "name": "office",
        "type": "http",
        "host": "proxy.example",
        "port": 3128,
        "username": "builder",
        "no_proxy": "localhost,.internal",
        "is_default": True,
        "status": "active",
        "created_at": at(9_000),
        "updated_at": at(600),
    }
    return Proxy(**(facts | more))


def ledger(node_id: str = "n1", **more: Any) -> LedgerAnswer:
    """A ledger with a row of each class."""
    rows = [
        LedgerRow(run_id="run-8f21a0c4d2e1", class_="matched", epoch=1, since=at(720), reason="ok"),
        LedgerRow(
            run_id="run-51aa00c4d2e1", class_="phantom", epoch=2, since=at(90),
            reason="not reported alive for 90 s",
        ),
        LedgerRow(ref="pid 4711", class_="orphan", since=at(300), reason="nobody owns it"),
    ]  # fmt: skip
    facts: dict[str, Any] = {
        "node_id": node_id,
        "capacity": 4,
        "allocated": 2,
        "pending": 0,
        "real": 2,
        "matched": 1,
        "phantom": 1,
        "orphan": 1,
        "as_of": at(3),
        "rows": rows,
    }
    return LedgerAnswer(**(facts | more))


def environment(**more: Any) -> EnvConfig:
    """What a node's runs are started with."""
    facts: dict[str, Any] = {
        "proxy": NodeProxy(
            enabled=True, host="proxy.example", port=3128, username="builder", password="***"
        ),
        "env_vars": {"CI": "1", "NPM_TOKEN": "npm_4711", "DB": "postgres://u:geheim@db/x"},
        "resources": RunResources(memory_limit="8g", cpu_limit=4),
    }
    return EnvConfig(**(facts | more))


def agent_type(kind: str, methods: list[Any]) -> AgentType:
    """A kind of agent."""
    return AgentType(
        id=kind, name=kind, description="", image="", auth_dir="", auth_file="", login_cmd=[],
        login_methods=methods, needs_login=True, aliases=[],
    )  # fmt: skip


def machine_answers() -> dict[tuple[str, str], Any]:
    """By method and path, as `ScriptedApi.answers`."""
    answers: dict[tuple[str, str], Any] = {
        ("GET", "/api/v1/instances"): InstanceList(
            instances=[
                instance(),
                instance(
                    "agent-0000000000a2", name="broken", status="error", error="no such image"
                ),
                instance("agent-0000000000a3", name="idle", status="stopped"),
            ],
            count=3,
        ),
        ("GET", "/api/v1/proxies"): ProxyList(
            proxies=[
                proxy(),
                proxy(
                    "proxy-0000000000b2", name="lab", type="socks5", port=1080, is_default=False,
                    username=None, no_proxy=None, status="inactive",
                ),
            ],
            count=2,
        ),
        ("GET", "/api/v1/agent-types"): AgentTypeList(
            agent_types=[
                agent_type("openai-codex", ["device_code", "api_key"]),
                agent_type("claude-code", ["oauth", "api_key"]),
            ]
        ),
        ("POST", f"/api/v1/proxies/{PROXY}/test"): ProxyTestAnswer(
            success=True, latency_ms=31, status_code=204, message="ok"
        ),
        ("POST", "/api/v1/operations"): OperationMade(
            operation_id="op-000000000019",
            action_id="act-000000000019",
            type="device_code",
            status="assigned",
        ),
    }  # fmt: skip
    for node in NODES:
        answers["GET", f"/api/v1/nodes/{node}/env-config"] = environment()
    return answers
