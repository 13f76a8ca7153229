"""Health, what the server is, and its documents (contract 3)."""

from typing import Final

import msgspec

from runwatch_server.api.call import Call, Route, json
from runwatch_server.node_reports import heartbeat_interval_s
from runwatch_server.problems import Answer
from runwatch_server.version import VERSION
from runwatch_shared.errors import not_found
from runwatch_shared.timestamps import format_time
from runwatch_shared.wire import (
    PROTOCOL,
    PROTOCOL_MIN,
    Bootstrap,
    BootstrapTls,
    HealthAnswer,
    LeaseSettings,
    ReadyAnswer,
    ServerAuth,
    ServerInfo,
)

FEATURES: Final[list[str]] = ["operations", "instances"]
"""Of ``operations instances proxies terminals hitl``, what is built."""
_OK: Final = json(HealthAnswer(status="ok"))


async def health(_: Call) -> Answer:
    return _OK


async def ready(call: Call) -> Answer:
    answer = await call.services.readiness.check()
    return json(answer, 200 if answer.status == "ok" else 503)


async def bootstrap(call: Call) -> Answer:
    services = call.services
    ca_url = None if services.ca_pem is None else "/ca.pem"
    return json(
        Bootstrap(
            tls=BootstrapTls(enabled=services.tls, ca_url=ca_url),
            protocol=PROTOCOL,
            heartbeat_interval_s=heartbeat_interval_s(services.settings.lease),
        )
    )


async def authority(call: Call) -> Answer:
    if call.services.ca_pem is None:
        raise not_found("ca")
    return Answer(
        body=call.services.ca_pem.read_bytes(),
        content_type=b"application/x-pem-file",
        headers=((b"content-disposition", b'attachment; filename="runwatch-ca.pem"'),),
    )


async def server(call: Call) -> Answer:
    services, principal = call.services, call.principal
    settings = services.settings
    lease = settings.lease
    return json(
        ServerInfo(
            version=VERSION,
            protocol=PROTOCOL,
            protocol_min=PROTOCOL_MIN,
            store=services.store_id,
            revision=services.projection.revision,
            server_time=format_time(services.clock.now_us()),
            started_at=format_time(services.started_us),
            auth=ServerAuth(
                mode=services.admission.mode,
                scope=principal.scope,
                name=None if principal.kind == "local" else principal.name,
            ),
            limits=msgspec.to_builtins(settings.limits),
            health_thresholds=msgspec.to_builtins(settings.health),
            lease=LeaseSettings(
                ttl_s=lease.ttl_s,
                claim_s=lease.claim_s,
                lost_after_s=lease.lost_after_s,
                cancel_grace_s=lease.cancel_grace_s,
            ),
            retention=msgspec.to_builtins(settings.retention),
            time_zone=services.zone,
            features=FEATURES,
        )
    )


ROUTES: Final = (
    Route(
        method="GET",
        path="/health",
        handler=health,
        summary="The process serves",
        answers={200: HealthAnswer},
    ),
    Route(
        method="GET",
        path="/livez",
        handler=health,
        summary="The process serves",
        answers={200: HealthAnswer},
    ),
    Route(
        method="GET",
        path="/readyz",
        handler=ready,
        summary="Whether the server is ready for work",
        answers={200: ReadyAnswer, 503: ReadyAnswer},
    ),
    Route(
        method="GET",
        path="/api/v1/node-bootstrap",
        handler=bootstrap,
        summary="What a node must know before it trusts the server",
        answers={200: Bootstrap},
    ),
    Route(
        method="GET",
        path="/ca.pem",
        handler=authority,
        summary="The certificate of the server's own authority",
        answers={200: str},
        errors=("not_found",),
        content_type="application/x-pem-file",
    ),
    Route(
        method="GET",
        path="/api/v1/server",
        handler=server,
        summary="Version, limits and who is asking",
        answers={200: ServerInfo},
    ),
)
