"""What a client of the monitor's delta feed wants to see; reading it is in `snapshots`.

Source: contract 7.2.
"""

from typing import Final

import msgspec

from runwatch_server.matching import DEFAULT_SORT, query_of
from runwatch_server.storage.protocols import Query
from runwatch_shared.errors import RefusedError
from runwatch_shared.settings import Limits
from runwatch_shared.wire import MonitorClientFrame, SubscribeFrame, Topic, WorkflowFilter

DEFAULT_TOPICS: Final[tuple[Topic, ...]] = ("workflows", "nodes", "stats")
DEFAULT_LIMIT: Final = 1000

_FRAMES: Final[msgspec.json.Decoder[MonitorClientFrame]] = msgspec.json.Decoder(MonitorClientFrame)
_EMPTY: Final = WorkflowFilter()


class UnknownFrameError(Exception):
    """A client's frame is not JSON or of no known type: closes with 4400."""


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A checked subscription. ``key`` is equal for two that want the same frames."""

    sub: int
    topics: frozenset[Topic]
    query: Query
    key: bytes

    @property
    def sees_every_run(self) -> bool:
        """Whether no condition narrows the workflows."""
        plain = Query(
            sort=self.query.sort, descending=self.query.descending, limit=self.query.limit
        )
        return self.query == plain


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
    if frame.limit is not None and frame.limit < 1:
        raise RefusedError("invalid_parameter", "limit must be at least 1", field="limit")
    query = query_of(
        frame.filter or _EMPTY,
        sort=frame.sort or DEFAULT_SORT,
        limit=frame.limit or DEFAULT_LIMIT,
        limits=limits,
        now_us=now_us,
    )
    topics = DEFAULT_TOPICS if frame.topics is None else frame.topics
    # The moments of ages are in the query, so the frame alone does not tell two apart.
    key = msgspec.json.encode((frame.id, sorted(topics), query), order="sorted")
    return Subscription(sub=frame.id, topics=frozenset(topics), query=query, key=key)


def subscription_in_query(text: str, limits: Limits, now_us: int) -> Subscription:
    """The ``subscribe`` parameter of the address: a subscribe frame; ``type`` may be left out.

    Raises:
        RefusedError: 400, before the upgrade.
    """
    try:
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        fields["type"] = msgspec.Raw(b'"subscribe"')
        fields.setdefault("id", msgspec.Raw(b"0"))
        frame = msgspec.json.decode(msgspec.json.encode(fields), type=SubscribeFrame)
    except (msgspec.DecodeError, UnicodeError) as error:
        message = f"subscribe is no subscription: {error}"
        raise RefusedError("invalid_parameter", message, field="subscribe") from error
    return subscription_of(frame, limits, now_us)


def read_client_frame(payload: bytes) -> MonitorClientFrame:
    """A client's frame.

    Raises:
        UnknownFrameError: It is not JSON, or of no known type.
        RefusedError: It is of a known type and a field of it is wrong.
    """
    try:
        return _FRAMES.decode(payload)
    except (msgspec.DecodeError, UnicodeError) as error:
        if frame_id(payload)[0] in {"subscribe", "ping"}:
            raise RefusedError("invalid_field", str(error)) from error
        raise UnknownFrameError from error


def frame_id(payload: bytes) -> tuple[str | None, int | None]:
    """The type and id of any frame, as far as it has them."""
    try:
        tag = msgspec.json.decode(payload, type=_Tag)
    except (msgspec.DecodeError, UnicodeError):
        try:
            return msgspec.json.decode(payload, type=_TypeOnly).type, None
        except (msgspec.DecodeError, UnicodeError):
            return None, None
    return tag.type, tag.id


class _TypeOnly(msgspec.Struct):
    type: str
