"""The OpenAPI document and the metrics, as they are served."""

from typing import Final

from runwatch_server.api.call import Call, Route
from runwatch_server.problems import Answer

OPENMETRICS: Final = b"application/openmetrics-text"


async def openapi(call: Call) -> Answer:
    return Answer(body=call.services.openapi)


async def metrics(call: Call) -> Answer:
    content_type, body = await call.services.exposition.render(
        openmetrics=OPENMETRICS in call.headers.get(b"accept", b"")
    )
    return Answer(body=body, content_type=content_type)


ROUTES: Final = (
    Route(
        method="GET",
        path="/api/v1/openapi.json",
        handler=openapi,
        summary="This document",
        answers={200: dict},
    ),
    Route(
        method="GET",
        path="/metrics",
        handler=metrics,
        summary="Metrics in the Prometheus text format",
        answers={200: str},
        content_type="text/plain",
    ),
)
