"""Proxies over HTTP, and their tests from the server (contract 14)."""

import logging
from typing import Final

import msgspec

from runwatch_server.api.call import Call, Route, json
from runwatch_server.problems import Answer
from runwatch_server.proxies import configs, life
from runwatch_server.proxies.rows import ProxyRow
from runwatch_server.proxies.showing import proxy_record
from runwatch_shared.logs import log
from runwatch_shared.proxies import (
    Proxy,
    ProxyInput,
    ProxyList,
    ProxyTestAnswer,
    ProxyTestRequest,
)
from runwatch_shared.reaching.trying import told
from runwatch_shared.wire import MessageAnswer

logger: Final = logging.getLogger(__name__)

PATH: Final = "/api/v1/proxies"
_INPUT: Final = msgspec.json.Decoder(ProxyInput)
_TEST: Final = msgspec.json.Decoder(ProxyTestRequest)


async def listing(call: Call) -> Answer:
    rows = await call.services.reader.read(lambda tx: life.every(tx.kept(ProxyRow)))
    found = [proxy_record(row) for row in rows]
    return json(ProxyList(proxies=found, count=len(found)))


async def one(call: Call) -> Answer:
    proxy_id = call.id("proxy")
    row = await call.services.reader.read(lambda tx: life.stored(tx.kept(ProxyRow), proxy_id))
    return json(proxy_record(row))


async def create(call: Call) -> Answer:
    request, vault = call.decode(_INPUT), call.services.vault
    row = await call.services.writer.write(lambda tx: life.create(tx, request, vault=vault))
    _log(call, row.id, "create")
    return json(proxy_record(row), 201)


async def change(call: Call) -> Answer:
    proxy_id, request, vault = call.id("proxy"), call.decode(_INPUT), call.services.vault
    row = await call.services.writer.write(
        lambda tx: life.change(tx, proxy_id, request, vault=vault)
    )
    _log(call, row.id, "change")
    return json(proxy_record(row))


async def delete(call: Call) -> Answer:
    proxy_id = call.id("proxy")
    row = await call.services.writer.write(lambda tx: life.delete(tx, proxy_id))
    _log(call, row.id, "delete")
    return json(MessageAnswer(message=f"proxy {row.id} is deleted"))


async def test(call: Call) -> Answer:
    proxy_id, request, services = call.id("proxy"), call.decode(_TEST), call.services
    url = services.proxy_tester.target_url(request.target_url)
    row = await services.reader.read(lambda tx: life.stored(tx.kept(ProxyRow), proxy_id))
    services.proxy_tester.take(call.principal.id)
    outcome = await services.proxy_tester.try_(configs.of_proxy(row, services.vault), url)
    _log(call, row.id, "test", code=outcome.code, duration_ms=outcome.latency_ms)
    return json(told(outcome))


def _log(
    call: Call,
    proxy_id: str,
    action: str,
    *,
    code: str | None = None,
    duration_ms: int | None = None,
) -> None:
    log(
        logger,
        logging.INFO,
        "proxy",
        "A proxy was tested" if action == "test" else "Proxies changed",
        id=proxy_id,
        action=action,
        by=call.principal.name,
        code=code,
        duration_ms=duration_ms,
    )


ROUTES: Final = (
    Route(
        method="GET",
        path=PATH,
        handler=listing,
        summary="List proxies",
        answers={200: ProxyList},
    ),
    Route(
        method="POST",
        path=PATH,
        handler=create,
        summary="Make a proxy known",
        body=ProxyInput,
        answers={201: Proxy},
        errors=("missing_field", "invalid_field", "invalid_value"),
    ),
    Route(
        method="GET",
        path=f"{PATH}/{{id}}",
        handler=one,
        summary="Read a proxy",
        answers={200: Proxy},
        errors=("not_found",),
    ),
    Route(
        method="PUT",
        path=f"{PATH}/{{id}}",
        handler=change,
        summary="Change what is given of a proxy",
        body=ProxyInput,
        answers={200: Proxy},
        errors=("invalid_field", "invalid_value", "not_found"),
    ),
    Route(
        method="DELETE",
        path=f"{PATH}/{{id}}",
        handler=delete,
        summary="Forget a proxy",
        answers={200: MessageAnswer},
        errors=("not_found",),
    ),
    Route(
        method="POST",
        path=f"{PATH}/{{id}}/test",
        handler=test,
        summary="Ask for a target through a proxy, from the server",
        body=ProxyTestRequest,
        answers={200: ProxyTestAnswer},
        errors=("invalid_field", "not_found", "store_unavailable"),
    ),
)
