"""Requests about the made-up fleet's logins, accounts, instances, proxies and nodes."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from runwatch_console.demo import names
from runwatch_console.demo.logins import DEADLINE_US, environment_of
from runwatch_console.demo.server import DemoServer
from runwatch_console.ports import ApiError, Method, Query
from runwatch_shared.instances import Instance, InstanceList, InstanceRequest
from runwatch_shared.logins import (
    AccountList,
    Action,
    AgentType,
    AgentTypeList,
    OperationMade,
    OperationRequest,
)
from runwatch_shared.proxies import ProxyList, ProxyTestAnswer
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import MessageAnswer

METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    names.CLAUDE.type: ("oauth", "api_key"),
    names.CODEX.type: ("device_code", "api_key"),
    names.GEMINI.type: ("oauth", "api_key"),
    names.QWEN.type: ("oauth", "api_key"),
}
_Answer = Callable[..., object]


class DemoAsking:
    """Answers as a server would (contract 13, 14)."""

    def __init__(self, server: DemoServer) -> None:
        self._server = server
        self._routes: tuple[tuple[str, re.Pattern[str], _Answer], ...] = tuple(
            (method, re.compile(f"/api/v1/{path}"), answer)
            for method, path, answer in (
                ("GET", "agent-types", self._agent_types),
                ("POST", "operations", self._begin),
                ("POST", "operations/op-([^/]+)/cancel", self._cancel),
                ("GET", "actions/([^/]+)", self._action),
                ("POST", "actions/([^/]+)/input", self._feed),
                ("GET", "accounts", self._accounts),
                ("DELETE", "accounts/([^/]+)", self._forget),
                ("GET", "instances", self._instances),
                ("POST", "instances", self._create),
                ("POST", "instances/([^/]+)/(start|stop)", self._turn),
                ("DELETE", "instances/([^/]+)", self._delete),
                ("GET", "proxies", self._proxies),
                ("POST", "proxies", self._add_proxy),
                ("PUT", "proxies/([^/]+)", self._change_proxy),
                ("DELETE", "proxies/([^/]+)", self._delete_proxy),
                ("POST", "proxies/([^/]+)/test", self._try_proxy),
                ("GET", "nodes/([^/]+)/env-config", self._environment),
                ("POST", "nodes/([^/]+)/env-config/test-proxy", self._try_proxy),
            )
        )

    def answer(
        self, method: Method, path: str, query: Query | None, body: msgspec.Struct | None
    ) -> object:
        """The answer to one request.

        Raises:
            ApiError: There is nothing of the kind, or it was asked for to be looked at only.
        """
        self._server.advance()
        for wanted, pattern, answer in self._routes:
            if wanted == method and (found := pattern.fullmatch(path)) is not None:
                if method != "GET":
                    self._server.allow_write()
                given = [part for part in (body, query) if part is not None]
                return answer(*found.groups(), *given)
        raise ApiError("not_found", f"{path} is not made up here", status=404)

    def _agent_types(self) -> AgentTypeList:
        kinds = [
            AgentType(
                id=kind,
                name=kind,
                description="",
                image="",
                auth_dir="",
                auth_file="",
                login_cmd=[],
                login_methods=list(methods),  # type: ignore[arg-type]  # of the three
                needs_login=True,
                aliases=[],
            )
            for kind, methods in METHODS.items()
        ]
        return AgentTypeList(agent_types=kinds)

    def _begin(self, request: OperationRequest) -> OperationMade:
        methods = METHODS.get(request.config.agent_type)
        if methods is None or request.type not in methods:
            raise ApiError("invalid_value", "it has no such login", field="type", status=400)
        if request.node_id not in self._server.world.nodes:
            raise ApiError("invalid_field", "no such node", field="node_id", status=400)
        login = self._server.kept.begin(request, self._server.world.now_us)
        operation = f"op-{login.id.removeprefix('act-')}"
        return OperationMade(
            operation_id=operation, action_id=login.id, type=request.type, status="assigned"
        )

    def _cancel(self, number: str) -> None:
        login = self._server.kept.begun.get(f"act-{number}")
        if login is None:
            raise ApiError("not_found", "no such login that was begun here", status=404)
        if self._server.ended(login.id):
            raise ApiError("already_terminal", "it is over", status=409)
        login.cancelled_us = self._server.world.now_us

    def _action(self, action_id: str, _: Query | None = None) -> Action:
        login = self._server.kept.begun.get(action_id)
        if login is None:
            raise ApiError("not_found", "no such login that was begun here", status=404)
        row = login.row(self._server.world.now_us, self._server.world.revision)
        names = ("verify_url", "user_code", "input_prompt", "expires_at")
        return Action(
            id=row.id,
            operation_id=row.metadata["operation_id"],
            status=row.status,  # type: ignore[arg-type]  # of contract 13
            phase=row.metadata["phase"],  # type: ignore[arg-type]  # of contract 13
            message=row.metadata["message"],
            progress=row.progress,
            result={name: row.metadata[name] for name in names if name in row.metadata} or None,
            error=row.error,
            created_at=row.start_time,
            started_at=row.started_at,
            finished_at=row.end_time,
            expires_at=format_time(login.begun_us + DEADLINE_US),
            revision=row.revision,
        )

    def _feed(self, action_id: str, _: msgspec.Struct) -> None:
        login = self._server.kept.begun.get(action_id)
        if login is None or login.request.type != "oauth" or login.fed_us is not None:
            raise ApiError("invalid_transition", "it does not ask for anything", status=409)
        login.fed_us = self._server.world.now_us

    def _accounts(self, _: Query | None = None) -> AccountList:
        found = self._server.accounts()
        return AccountList(accounts=found, count=len(found))

    def _forget(self, account_id: str, _: Query | None = None) -> None:
        if account_id not in {account.id for account in self._server.accounts()}:
            raise ApiError("not_found", "no such account", status=404)
        self._server.kept.forgotten.add(account_id)

    def _instances(self, query: Query | None = None) -> InstanceList:
        wanted = query or {}
        found = [
            each
            for each in self._server.kept.instances.values()
            if wanted.get("node_id", each.node_id) == each.node_id
        ]
        return InstanceList(instances=found, count=len(found))

    def _create(self, request: InstanceRequest) -> Instance:
        kept = self._server.kept
        account = next((a for a in self._server.accounts() if a.id == request.account_id), None)
        if account is None:
            raise ApiError("invalid_field", "no such account", field="account_id", status=400)
        name = request.name or account.name
        made = kept.instance(name, account.id, account.agent_type, request.node_id, "running")
        kept.instances[made.id] = made
        return made

    def _instance(self, instance_id: str) -> Instance:
        if instance_id not in self._server.kept.instances:
            raise ApiError("not_found", "no such instance", status=404)
        return self._server.kept.instances[instance_id]

    def _turn(self, instance_id: str, way: str, *_: object) -> MessageAnswer:
        status = "running" if way == "start" else "stopped"
        before = self._instance(instance_id)
        if before.status == status:
            raise ApiError("invalid_transition", f"it is {status}", status=409)
        at = format_time(self._server.world.now_us)
        after = msgspec.structs.replace(before, status=status, updated_at=at)
        self._server.kept.instances[instance_id] = after
        return MessageAnswer(message=status)

    def _delete(self, instance_id: str) -> MessageAnswer:
        self._instance(instance_id)
        del self._server.kept.instances[instance_id]
        return MessageAnswer(message="deleted")

    def _proxies(self, _: Query | None = None) -> ProxyList:
        found = list(self._server.kept.proxies.values())
        return ProxyList(proxies=found, count=len(found))

    def _add_proxy(self, request: msgspec.Struct) -> object:
        facts: dict[str, Any] = msgspec.to_builtins(request)
        return self._server.kept.add_proxy(facts)

    def _change_proxy(self, proxy_id: str, request: msgspec.Struct) -> object:
        proxies = self._server.kept.proxies
        if proxy_id not in proxies:
            raise ApiError("not_found", "no such proxy", status=404)
        facts: dict[str, Any] = msgspec.to_builtins(request)
        facts.pop("password", None)
        if facts.get("is_default"):
            for key, proxy in proxies.items():
                proxies[key] = msgspec.structs.replace(proxy, is_default=False)
        proxies[proxy_id] = msgspec.structs.replace(proxies[proxy_id], **facts)
        return proxies[proxy_id]

    def _delete_proxy(self, proxy_id: str) -> MessageAnswer:
        if self._server.kept.proxies.pop(proxy_id, None) is None:
            raise ApiError("not_found", "no such proxy", status=404)
        return MessageAnswer(message="deleted")

    def _try_proxy(self, _: str, __: object = None) -> ProxyTestAnswer:
        return ProxyTestAnswer(success=True, latency_ms=31, status_code=204, message="ok")

    def _environment(self, node_id: str) -> object:
        return environment_of(node_id)
