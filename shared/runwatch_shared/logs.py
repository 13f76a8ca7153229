"""Log lines as contract section 16 draws them, as text or JSON; tags and keys are named once here.

One record is one line whatever its values hold. Never in a line: tokens, passwords, keys, cookies,
query strings, event payloads. Nothing here can recognise a secret; who logs must not hand one over.
"""

import io
import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO, TypedDict, Unpack, get_args

from runwatch_shared.text import has_control

ServerTag = Literal[
    "alert",
    "auth",
    "events",
    "events.gap",
    "events.refused",
    "health",
    "instance",
    "lease.expired",
    "lease.fenced",
    "node.delete",
    "node.drain",
    "node.heartbeat",
    "operation",
    "otlp",
    "proxy",
    "retention",
    "run.cancel",
    "run.claim",
    "run.create.complete",
    "run.create.failed",
    "run.create.replayed",
    "run.create.start",
    "run.create.task.not_found",
    "run.lost",
    "run.retry",
    "run.status",
    "scheduler",
    "server",
    "store",
    "tls",
    "ws",
]
NodeTag = Literal[
    "container.start",
    "container.stop",
    "event.report",
    "login",
    "node",
    "node.heartbeat",
    "process.start",
    "process.stop",
    "run.adopt",
    "run.cancel",
    "run.claim",
    "run.end",
    "run.execute",
    "session",
    "spool",
    "workspace",
]
ConsoleTag = Literal["console"]
Tag = ServerTag | NodeTag | ConsoleTag

SERVER_TAGS: Final[frozenset[str]] = frozenset(get_args(ServerTag))
NODE_TAGS: Final[frozenset[str]] = frozenset(get_args(NodeTag))
TAGS: Final[frozenset[str]] = SERVER_TAGS | NODE_TAGS | frozenset(get_args(ConsoleTag))

Fact = str | int | float | bool | None


class Facts(TypedDict, total=False):
    """Every key of a log line. A fact that is None is left out. ``from_`` is written ``from``."""

    acked_seq: Fact
    action: Fact
    address: Fact
    agent_type: Fact
    assigned: Fact
    attempt: Fact
    by: Fact
    capacity: Fact
    channel: Fact
    code: Fact
    container: Fact
    count: Fact
    current_epoch: Fact
    database: Fact
    duration_ms: Fact
    epoch: Fact
    error: Fact
    event: Fact
    exit_code: Fact
    fingerprint: Fact
    frames: Fact
    from_: Fact
    from_seq: Fact
    health: Fact
    id: Fact
    image: Fact
    instance_id: Fact
    kind: Fact
    last_seq: Fact
    lease_count: Fact
    listen: Fact
    method: Fact
    migration: Fact
    node_id: Fact
    outcome: Fact
    path: Fact
    pid: Fact
    previous: Fact
    queue_wait_ms: Fact
    reason: Fact
    request_id: Fact
    retry_after_s: Fact
    revision: Fact
    route: Fact
    rows: Fact
    run_id: Fact
    running: Fact
    scope: Fact
    seq: Fact
    settings: Fact
    signal: Fact
    skew_ms: Fact
    spool_bytes: Fact
    spool_events: Fact
    stack: Fact
    status: Fact
    task: Fact
    task_id: Fact
    to: Fact
    to_seq: Fact
    trace_id: Fact
    url: Fact
    version: Fact
    waiting: Fact


REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
"""Set by the server for the time of a request; every line written meanwhile carries it."""

TRACE_ID: Final[ContextVar[str | None]] = ContextVar("trace_id", default=None)
"""The same of the trace the request is part of (W3C Trace Context), 32 hex digits."""

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

QUIET_LOGGERS: Final = (
    "asyncio",
    "httpcore",
    "httpx",
    "uvicorn.access",
    "uvicorn.error",
    "websockets",
    "watchfiles",
)
"""Libraries whose information is noise, or holds addresses with their query, as httpx's lines and
uvicorn's on WebSockets do (contract 16: never in a line).
"""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/@+,*-]+")


def log(
    logger: logging.Logger,
    level: int,
    tag: Tag,
    sentence: str,
    *,
    exc_info: BaseException | bool | None = None,
    **facts: Unpack[Facts],
) -> None:
    """Writes one record: a constant sentence for people, the facts for machines.

    ``level`` is one of `logging`'s numbers. Values are strings, numbers, booleans or None.
    """
    if logger.isEnabledFor(level):
        logger.log(
            level, sentence, exc_info=exc_info, stacklevel=2, extra={"tag": tag, "facts": facts}
        )


def configure_logging(
    log_format: LogFormat = "text",
    level: LogLevel = "info",
    *,
    default_tag: Tag = "server",
    stream: TextIO | None = None,
) -> None:
    """Sends every log record of this process to ``stream`` (standard output); called by a cli only.

    Records of libraries carry ``default_tag``. Replaces what an earlier call set up.
    """
    formatter = JsonFormatter(default_tag) if log_format == "json" else TextFormatter(default_tag)
    target = sys.stdout if stream is None else stream
    if isinstance(target, io.TextIOWrapper):
        target.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8
    handler = logging.StreamHandler(target)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


def set_level(level: LogLevel) -> None:
    """From now on write records of this level and above; of `QUIET_LOGGERS` never below warning."""
    logging.getLogger().setLevel(level.upper())


class TextFormatter(logging.Formatter):
    """``time level [tag] sentence key=value …``; values are quoted as JSON where needed."""

    def __init__(self, default_tag: Tag) -> None:
        super().__init__()
        self._default_tag = default_tag

    def format(self, record: logging.LogRecord) -> str:
        """One line without its line end."""
        time, level, tag, sentence, facts = _parts(record, self._default_tag)
        pairs = "".join(f" {key}={_text_value(value)}" for key, value in facts.items())
        return f"{time} {level} [{tag}] {escape_controls(sentence)}{pairs}"


class JsonFormatter(logging.Formatter):
    """The same record as an object: ``time level tag message`` and the facts."""

    def __init__(self, default_tag: Tag) -> None:
        super().__init__()
        self._default_tag = default_tag

    def format(self, record: logging.LogRecord) -> str:
        """One line without its line end."""
        time, level, tag, sentence, facts = _parts(record, self._default_tag)
        line = {"time": time, "level": level, "tag": tag, "message": sentence, **facts}
        return escape_controls(json.dumps(line, ensure_ascii=False, allow_nan=False))


def _parts(
    record: logging.LogRecord, default_tag: Tag
) -> tuple[str, str, str, str, dict[str, Fact]]:
    moment = datetime.fromtimestamp(record.created, UTC)
    tag = getattr(record, "tag", default_tag)
    given: dict[str, Any] = getattr(record, "facts", {})
    facts = {key.rstrip("_"): _fact(value) for key, value in given.items() if value is not None}
    if "request_id" not in facts and (request_id := REQUEST_ID.get()) is not None:
        facts["request_id"] = request_id
    if "trace_id" not in facts and (trace_id := TRACE_ID.get()) is not None:
        facts["trace_id"] = trace_id
    if record.exc_info and record.exc_info[0] is not None:
        facts["traceback"] = logging.Formatter().formatException(record.exc_info)
    return (
        moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        record.levelname.lower(),
        tag if tag in TAGS else default_tag,
        record.getMessage(),
        facts,
    )


def _fact(value: Any) -> Fact:
    """What both formats can show: floats rounded to a thousandth, and what is no fact as text."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        rounded = round(value, 3)
        return rounded if abs(rounded) < float("inf") else str(value)
    return str(value)


def _text_value(value: Fact) -> str:
    if isinstance(value, str):
        if _PLAIN.fullmatch(value):
            return value
        return escape_controls(json.dumps(value, ensure_ascii=False))
    return json.dumps(value)


def escape_controls(text: str) -> str:
    r"""Control, bidi and invisible characters as ``\uXXXX``, which JSON reads back.

    Supplementary ones become a surrogate pair, as JSON writes them.
    """
    if not has_control(text):
        return text
    return "".join(
        _escaped(character) if has_control(character) else character for character in text
    )


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1] if ord(character) != 0x7F else "\\u007f"
