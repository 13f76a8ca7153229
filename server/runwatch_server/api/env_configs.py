"""What a node gives its runs, over HTTP, and the node's own tests of its proxy (contract 14)."""

import asyncio
import logging
from typing import Final

import msgspec

from runwatch_server.api.call import Call, Route, json, nothing
from runwatch_server.nodes import stored_node
from runwatch_server.problems import Answer
from runwatch_server.proxies import asking, configs
from runwatch_server.proxies.rows import ProxyTestRow
from runwatch_server.storage.protocols import ReadTx, WriteTx
from runwatch_shared.errors import not_found
from runwatch_shared.logs import log
from runwatch_shared.models import NodeId
from runwatch_shared.proxies import (
    HIDDEN,
    EnvConfig,
    NodeProxy,
    NodeProxyTestRequest,
    NodeProxyTests,
    ProxyTestAnswer,
)

logger: Final = logging.getLogger(__name__)

PATH: Final = "/api/v1/nodes/{id}/env-config"
TESTS: Final = "/api/v1/nodes/{id}/proxy-tests"
LOOK_S: Final = 0.2
_CONFIG: Final = msgspec.json.Decoder(EnvConfig)
_TEST: Final = msgspec.json.Decoder(NodeProxyTestRequest)
_ANSWER: Final = msgspec.json.Decoder(ProxyTestAnswer)
_NONE: Final = ProxyTestAnswer(success=False, message="runs of this node have no proxy")
_OFFLINE: Final = ProxyTestAnswer(success=False, message="the node is offline")
_SILENT: Final = ProxyTestAnswer(success=False, message="the node did not answer in time")


async def read(call: Call) -> Answer:
    node_id, vault = call.id("node"), call.services.vault

    def look(tx: ReadTx) -> EnvConfig:
        if tx.nodes.get(node_id) is None:
            raise not_found("node")
        return configs.shown(tx, node_id, vault=vault)

    return json(await call.services.reader.read(look))


async def put(call: Call) -> Answer:
    node_id, config, vault = call.id("node"), call.decode(_CONFIG), call.services.vault

    def work(tx: WriteTx) -> EnvConfig:
        configs.put(tx, node_id, config, vault=vault)
        return configs.shown(tx, node_id, vault=vault)

    shown = await call.services.writer.write(work)
    _log(call, node_id, "configure")
    return json(shown)


async def test(call: Call) -> Answer:
    node_id, request, services = call.id("node"), call.decode(_TEST), call.services
    vault, url = services.vault, services.proxy_tester.target_url(request.target_url)

    def work(tx: WriteTx) -> ProxyTestRow | ProxyTestAnswer:
        node = stored_node(tx, node_id)
        proxy = _wanted(tx, node_id, request, call)
        if proxy is None or not proxy.enabled:
            return _NONE
        if node.status == "offline":
            return _OFFLINE
        return asking.ask(tx, node, proxy, url, vault=vault)

    services.proxy_tester.take(call.principal.id)
    began_s = services.clock.monotonic()
    asked = await services.writer.write(work)
    answered = await _answered(call, asked.id) if isinstance(asked, ProxyTestRow) else asked
    took_ms = round((services.clock.monotonic() - began_s) * 1000)
    _log(call, node_id, "test", code="ok" if answered.success else "failed", duration_ms=took_ms)
    return json(answered)


def _wanted(
    tx: WriteTx, node_id: str, request: NodeProxyTestRequest, call: Call
) -> NodeProxy | None:
    """The proxy of the request, a hidden password as it is kept for that host; else the runs'."""
    vault = call.services.vault
    kept = configs.own_config(tx, node_id, vault=vault)
    proxy = request.proxy
    if proxy is None:
        config = configs.effective(tx, kept, vault=vault)
        return None if config is None else config.proxy
    if proxy.password == HIDDEN:
        # It goes nowhere but where it was given for.
        same = kept.proxy is not None and _whom(kept.proxy) == _whom(proxy)
        known = kept.proxy.password if same and kept.proxy is not None else None
        proxy = msgspec.structs.replace(proxy, password=known)
    return proxy


def _whom(proxy: NodeProxy) -> tuple[str, str | None]:
    """Whom a password is told."""
    return proxy.host.rstrip(".").lower(), proxy.username


async def _answered(call: Call, test_id: str) -> ProxyTestAnswer:
    """What the node finds, as soon as any server of the store has its answer."""
    services = call.services
    try:
        async with asyncio.timeout(asking.WAIT_S):
            while not services.doorbells.closed:
                told = await services.reader.read(lambda tx: asking.answered(tx, test_id))
                if told is not None:
                    return told
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        pass
    finally:
        await services.writer.write(lambda tx: asking.forget(tx, [test_id]))
    return _SILENT


async def orders(call: Call) -> Answer:
    node_id, services = call.own_node(), call.services
    open_ = call.principal.scope == "node"
    found = await services.reader.read(
        lambda tx: asking.orders(tx, node_id, vault=services.vault, open_=open_)
    )
    return json(NodeProxyTests(node_id=NodeId(node_id), tests=found))


async def answer(call: Call) -> Answer:
    node_id, test_id, told = call.own_node(), call.id("proxy test", "test"), call.decode(_ANSWER)
    await call.services.writer.write(lambda tx: asking.answer(tx, node_id, test_id, told))
    return nothing()


def _log(
    call: Call,
    node_id: str,
    action: str,
    *,
    code: str | None = None,
    duration_ms: int | None = None,
) -> None:
    log(
        logger,
        logging.INFO,
        "proxy",
        "A node tested its proxy" if action == "test" else "What a node gives its runs changed",
        node_id=node_id,
        action=action,
        by=call.principal.name,
        code=code,
        duration_ms=duration_ms,
    )


ROUTES: Final = (
    Route(
        method="GET",
        path=PATH,
        handler=read,
        summary="Read what a node gives its runs",
        answers={200: EnvConfig},
        errors=("not_found", "store_unavailable"),
    ),
    Route(
        method="PUT",
        path=PATH,
        handler=put,
        summary="Set what a node gives its runs",
        body=EnvConfig,
        answers={200: EnvConfig},
        errors=("invalid_field", "invalid_value", "not_found", "store_unavailable"),
    ),
    Route(
        method="POST",
        path=f"{PATH}/test-proxy",
        handler=test,
        summary="Have a node ask for a target through its proxy",
        body=NodeProxyTestRequest,
        answers={200: ProxyTestAnswer},
        errors=("invalid_field", "not_found", "store_unavailable"),
        long_poll=True,
    ),
    Route(
        method="GET",
        path=TESTS,
        handler=orders,
        summary="Tests of proxies that a node is to make",
        answers={200: NodeProxyTests},
        errors=("not_your_node", "not_found", "store_unavailable"),
    ),
    Route(
        method="POST",
        path=f"{TESTS}/{{test}}",
        handler=answer,
        summary="What a node found when it tested a proxy",
        body=ProxyTestAnswer,
        answers={204: None},
        errors=("missing_field", "invalid_field", "not_your_node", "not_found"),
    ),
)
