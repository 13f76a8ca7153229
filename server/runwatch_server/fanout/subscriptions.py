"""What a client of the monitor's delta feed wants to see; reading it is in `snapshots`.

Source: contract 7.2.
"""

from typing import Final, NamedTuple

import msgspec

from runwatch_server.matching import DEFAULT_SORT, query_of
from runwatch_server.misfits import of_decoding
from runwatch_server.storage.protocols import Query
from runwatch_shared.errors import RefusedError
from runwatch_shared.settings import Limits
from runwatch_shared.wire import (
    MonitorClientFrame,
    PingFrame,
    SubscribeFrame,
    Topic,
    WorkflowFilter,
)

DEFAULT_TOPICS: Final[tuple[Topic, ...]] = ("workflows", "nodes", "stats")
DEFAULT_LIMIT: Final = 1000

_FRAMES: Final[msgspec.json.Decoder[MonitorClientFrame]] = msgspec.json.Decoder(MonitorClientFrame)
_KINDS: Final[dict[str, type]] = {"subscribe": SubscribeFrame, "ping": PingFrame}
_EMPTY: Final = WorkflowFilter()


class UnknownFrameError(Exception):
    """A client's frame is not JSON or of no known type: closes with 4400."""


class View(NamedTuple):
    """Which of the rows that match a snapshot has, and in which order."""

    sort: str
    descending: bool
    limit: int


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A checked subscription. ``key`` is equal for two that concern the same rows: they share all
    work on changes. ``sub``, sort and limit are each client's own.
    """

    sub: int
    topics: frozenset[Topic]
    query: Query
    key: bytes

    @property
    def view(self) -> View:
        """Two of one key with the same view have the same snapshot."""
        return View(self.query.sort, self.query.descending, self.query.limit)


class _Tag(msgspec.Struct):
    type: str
    id: int | None = None


def default_subscription(limits: Limits, now_us: int) -> Subscription:
    """What a socket without ``subscribe`` gets."""
    return subscription_of(SubscribeFrame(id=0), limits, now_us)


def subscription_of(frame: SubscribeFrame, limits: Limits, now_us: int) -> Subscription:
    """A client's wish, checked.

    Raises:
        RefusedError: A value in it is none; names the field.
    """
    if frame.limit is not None and frame.limit < 0:
        raise RefusedError("invalid_parameter", "limit must not be negative", field="limit")
    query = query_of(
        frame.filter or _EMPTY,
        sort=frame.sort or DEFAULT_SORT,
        limit=DEFAULT_LIMIT if frame.limit is None else frame.limit,
        limits=limits,
        now_us=now_us,
    )
    topics = frozenset(DEFAULT_TOPICS if frame.topics is None else frame.topics)
    return Subscription(sub=frame.id, topics=topics, query=query, key=_key(topics, query))


def _key(topics: frozenset[Topic], query: Query) -> bytes:
    """The moments of ages are in the query, so the frame alone does not tell two apart."""
    conditions = msgspec.structs.replace(query, sort="", descending=False, limit=0)
    seen = conditions if "workflows" in topics else None
    return msgspec.json.encode((sorted(topics), seen), order="sorted")


def subscription_in_query(text: str, limits: Limits, now_us: int) -> Subscription:
    """The ``subscribe`` parameter of the address: a subscribe frame; ``type`` may be left out.

    Raises:
        RefusedError: 400, before the upgrade.
    """
    whole = text.encode("utf-8", "replace")
    try:
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        fields["type"] = msgspec.Raw(b'"subscribe"')
        fields.setdefault("id", msgspec.Raw(b"0"))
        whole = msgspec.json.encode(fields)
        return subscription_of(msgspec.json.decode(whole, type=SubscribeFrame), limits, now_us)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _within(of_decoding(error, SubscribeFrame, whole)) from error
    except UnicodeError as error:
        refused = RefusedError("invalid_parameter", "not UTF-8")
        raise _within(refused) from error
    except RefusedError as error:
        raise _within(error) from error


def _within(refused: RefusedError) -> RefusedError:
    """The same, of a part of the parameter."""
    name = f"subscribe.{refused.field}" if refused.field else "subscribe"
    code = "invalid_parameter" if refused.code == "invalid_json" else refused.code
    return RefusedError(
        code, f"subscribe is none: {refused.message}", field=name, details=refused.details
    )


def read_client_frame(payload: bytes) -> MonitorClientFrame:
    """A client's frame.

    Raises:
        UnknownFrameError: It is not JSON, or of no known type.
        RefusedError: It is of a known type and a field of it is wrong.
    """
    try:
        return _FRAMES.decode(payload)
    except UnicodeError as error:
        raise UnknownFrameError from error
    except (msgspec.DecodeError, RecursionError) as error:
        kind = _KINDS.get(frame_id(payload)[0] or "")
        if kind is None:
            raise UnknownFrameError from error
        raise of_decoding(error, kind, payload) from error


def frame_id(payload: bytes) -> tuple[str | None, int | None]:
    """The type and id of any frame, as far as it has them."""
    try:
        tag = msgspec.json.decode(payload, type=_Tag)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        try:
            return msgspec.json.decode(payload, type=_TypeOnly).type, None
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None, None
    return tag.type, tag.id


class _TypeOnly(msgspec.Struct):
    type: str
