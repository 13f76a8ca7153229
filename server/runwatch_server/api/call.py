"""What a handler is given and what its route says of it; the serving is in `resource`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from runwatch_server.access.table import Need, RouteKey
from runwatch_server.api.bodies import Receive, nothing_more
from runwatch_server.api.queries import QueryReader
from runwatch_server.ids import is_id
from runwatch_server.misfits import of_decoding
from runwatch_server.principals import Principal
from runwatch_server.problems import Answer
from runwatch_server.services import Services
from runwatch_shared.errors import RefusedError, not_found

T = TypeVar("T")

ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request that was let in."""

    services: Services
    principal: Principal
    scope: Mapping[str, Any]
    headers: Mapping[bytes, bytes]
    body: bytes
    route: "Route"
    receive: Receive = nothing_more
    """For a route that reads its body itself."""
    noted: dict[str, str] = field(default_factory=dict)
    """What a handler knows for the audit log: ``actor`` where the caller had no credential yet."""

    @property
    def secure(self) -> bool:
        """Whether the request came over TLS."""
        return self.scope["scheme"] in {"https", "wss"}

    def id(self, kind: str, name: str = "id") -> str:
        """The id in the path; one that can be none is a 404 of this kind."""
        value: str = self.scope["path_params"][name]
        if not is_id(value):
            raise not_found(kind)
        return value

    def own_node(self) -> str:
        """The node in the path; a token bound to another one may not ask.

        Raises:
            RefusedError: 403 ``not_your_node``, 404.
        """
        node_id = self.id("node")
        self.principal.check_node(node_id)
        return node_id

    def decode(self, decoder: "msgspec.json.Decoder[T]") -> T:
        """The body as a record; an empty one counts as ``{}``.

        Raises:
            RefusedError: 400.
        """
        return decode_body(self.body, decoder)

    def query(self) -> QueryReader:
        """The query, of which only the route's own parameters can be read."""
        return QueryReader(
            self.scope["query_string"],
            names=self.route.parameters,
            limits=self.services.settings.limits,
            now_us=self.services.clock.now_us(),
        )


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """A method of a path, and what the OpenAPI document says of it.

    Args:
        answers: The record of each success by its status; None for an answer without a body.
        errors: Codes beside those every route may give.
        parameters: Query names, see `queries.PARAMETERS`.
        long_poll: Its time counts as waiting, not as work.
        ends: The handler is called for every other method and for what lies below, too.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answers: Mapping[int, Any]
    body: Any = None
    errors: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    idempotent: bool = False
    long_poll: bool = False
    content_type: str = "application/json"
    body_types: tuple[str, ...] = ()
    """Of a body that the handler reads itself, of other types than JSON, too."""
    hidden: bool = False
    """Left out of the OpenAPI document: a spelling kept for others."""

    @property
    def key(self) -> RouteKey:
        """Its row in the access table."""
        return self.method, self.path


@dataclass(frozen=True, kw_only=True, slots=True)
class Guarded:
    """A route with what it asks of a caller."""

    route: Route
    need: Need


def decode_body(body: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """A JSON body as a record, or the 400 that says where it does not fit."""
    try:
        if not body.isascii():
            body.decode()  # what is passed over undecoded is checked here
        return decoder.decode(body or b"{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise of_decoding(error, decoder.type, body) from error
    except UnicodeDecodeError as error:
        raise RefusedError("invalid_json", "the body is not valid JSON") from error


def json(record: Any, status: int = 200) -> Answer:
    """A record as an answer."""
    return Answer(status=status, body=ENCODER.encode(record))


def nothing() -> Answer:
    """204."""
    return Answer(status=204)
