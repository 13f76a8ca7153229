"""One path as an ASGI application: the right method, the caller let in, the handler's answer sent.

Refusals are raised and become answers at the `edge`.
"""

from collections.abc import Sequence
from typing import Final

from starlette.types import Receive, Scope, Send

from runwatch_server.access.table import ANY
from runwatch_server.api.audited import done_entry, is_denial, refusal_entry
from runwatch_server.api.bodies import read_json_body
from runwatch_server.api.call import Call, Guarded
from runwatch_server.problems import Answer
from runwatch_server.services import Services
from runwatch_shared.errors import RefusedError

TEMPLATE: Final = "runwatch.template"
LONG_POLL: Final = "runwatch.long_poll"
"""Keys under which a scope tells the edge what was served."""


class Resource:
    """The routes of one path by their method; HEAD is answered as GET is."""

    def __init__(self, path: str, guarded: Sequence[Guarded], services: Services) -> None:
        self.path = path
        self._services = services
        self._by_method = {each.route.method: each for each in guarded}
        if "GET" in self._by_method:
            self._by_method.setdefault("HEAD", self._by_method["GET"])
        self._other = self._by_method.pop(ANY, None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[TEMPLATE] = self.path
        method = scope["method"]
        guarded = self._by_method.get(method, self._other)
        if guarded is None:
            raise self._method_not_allowed()
        if guarded.route.long_poll:
            scope[LONG_POLL] = True
        answer = await self._answer(guarded, method, scope, receive)
        await send_answer(answer, send, head=method == "HEAD")

    async def _answer(
        self, guarded: Guarded, method: str, scope: Scope, receive: Receive
    ) -> Answer:
        route, need, services = guarded.route, guarded.need, self._services
        headers = dict(scope["headers"])
        try:
            principal = await services.admission.admit(scope, headers, need)
            body = b""
            if method not in {"GET", "HEAD"} and not route.body_types:
                body = await read_json_body(headers, receive, services.settings.limits)
            call = Call(
                services=services,
                principal=principal,
                scope=scope,
                headers=headers,
                body=body,
                route=route,
                receive=receive,
            )
            answer = await route.handler(call)
        except RefusedError as error:
            if is_denial(error):
                services.audit.refused(
                    refusal_entry(services.clock, method, self.path, scope, error)
                )
            raise
        if method not in {"GET", "HEAD"} and not need.reports:
            await services.audit.done(done_entry(call, method, answer))
        return answer

    def _method_not_allowed(self) -> RefusedError:
        allowed = sorted(self._by_method)
        return RefusedError(
            "method_not_allowed", "this path has no such method", details={"allowed": allowed}
        )


async def send_answer(answer: Answer, send: Send, *, head: bool = False) -> None:
    """Send a whole response; of a HEAD only what stands before the body."""
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": answer.raw_headers(),
        }
    )
    if answer.stream is not None and not head:
        async for piece in answer.stream:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"" if head else answer.body})


def by_path(guarded: Sequence[Guarded]) -> dict[str, list[Guarded]]:
    """Routes grouped by path, in the order they were given."""
    grouped: dict[str, list[Guarded]] = {}
    for each in guarded:
        grouped.setdefault(each.route.path, []).append(each)
    return grouped
