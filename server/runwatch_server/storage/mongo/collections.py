"""Which collections there are and their indexes: made at start where they are missing, never
dropped; those that are not of this build are told.
"""

import logging
from typing import Final

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

from runwatch_server.storage.mongo.matching import Fields

logger: Final = logging.getLogger(__name__)

UP, DOWN = ASCENDING, DESCENDING
Keys = tuple[tuple[str, int], ...]


def _by(*names: str) -> Keys:
    return tuple((name, UP) for name in names)


META: Final = "meta"
JOURNAL: Final = "journal"
PARTS: Final = "journal_parts"
EVENTS: Final = "events"
HOLDS: Final = "holds"
"""What a backup or an export under way still needs of the journal (see `holds`)."""

INDEXES: Final[dict[str, dict[str, Keys]]] = {
    "runs": {
        "by_revision": _by("revision"),
        "by_update_time": _by("updated_us", "_id"),
        "by_start_time": _by("created_us", "_id"),
        "by_attention": _by("attention", "updated_us", "_id"),
        "by_name": _by("name", "_id"),
        "by_duration": _by("duration_ms", "_id"),
        "by_cost": _by("cost_usd", "_id"),
        "by_tokens": _by("total_tokens", "_id"),
        "by_tool_failures": _by("tool_failures", "_id"),
        "by_state": _by("state", "updated_us", "_id"),
        "by_status": _by("status", "updated_us", "_id"),
        "by_health": _by("health", "updated_us", "_id"),
        "by_agent": _by("agent_type", "state", "updated_us", "_id"),
        "by_node": _by("node_id", "state", "updated_us", "_id"),
        "by_task": _by("task_id", "created_us", "_id"),
        "by_parent": _by("parent_id", "created_us", "_id"),
        "by_session": _by("agent_session_id", "created_us", "_id"),
        "by_labels": _by("labels", "updated_us", "_id"),
        "active": _by("active", "attention", "updated_us", "_id"),
        "active_of_node": _by("node_id", "active", "created_us", "_id"),
        "waiting": _by("waiting", "updated_us", "_id"),
        "queued": (("status", UP), ("priority", DOWN), ("created_us", UP), ("_id", UP)),
        "ended": _by("kept", "ended_us", "_id"),
    },
    "dues": {"by_moment": _by("due_us", "_id")},
    "steps": {"by_run": _by("run_id", "place")},
    "blocks": {"by_log": _by("log", "block")},
    "tasks": {
        "by_revision": _by("revision"),
        "by_created": _by("created_us", "_id"),
        "by_status": _by("status", "created_us", "_id"),
        "by_parent": _by("parent_id", "created_us", "_id"),
        "by_labels": _by("labels", "created_us", "_id"),
    },
    "nodes": {"by_revision": _by("revision")},
    "leases": {"by_node": _by("node_id", "_id"), "by_expiry": _by("expires_us", "_id")},
    "users": {"by_email": _by("email"), "by_created": _by("created_us", "_id")},
    "sessions": {"by_user": _by("user_id"), "by_expiry": _by("expires_us")},
    "tokens": {"by_created": _by("created_us", "_id")},
    "replays": {"by_age": _by("at_us")},
    "tombstones": {"by_revision": _by("revision"), "by_age": _by("at_us")},
    "counters": {"by_span": _by("span", "start_us")},
    "telemetry": {
        "by_session": _by("agent_type", "session_id"),
        "due": _by("due_us", "_id"),
        "settled": _by("last_us", "_id"),
    },
    "seen": {"by_age": _by("session", "number")},
    "kept": {
        "by_age": _by("kind", "created_us", "_id"),
        "of_node": _by("kind", "node_id", "created_us", "_id"),
        "of_account": _by("kind", "account_id", "created_us", "_id"),
        "by_status": _by("kind", "status", "created_us", "_id"),
        "by_name": _by("kind", "name", "created_us", "_id"),
        "due": _by("kind", "due_us", "_id"),
        "by_revision": _by("revision"),
    },
    "prunes": {"by_id": _by("done", "_id")},
    "alerts": {"by_age": _by("place")},
    EVENTS: {"by_log": _by("log", "seq"), "by_type": _by("log", "type", "seq")},
}
"""By collection, by name. What is not named here (specs, folds, logs, state, the journal) is found
by its id.
"""

ROWS: Final = tuple(sorted({*INDEXES, "specs", "folds", "logs", "state"} - {EVENTS}))
"""Collections of plain rows, which the journal writes."""


def ensure(database: Database[Fields]) -> None:
    """Make the indexes that are missing; those that are not of this build are told and left.

    Raises:
        PyMongoError: The server failed, or has one of a name with other fields.
    """
    for collection, wanted in INDEXES.items():
        there = set(database[collection].index_information())
        for name, keys in wanted.items():
            if name not in there:
                database[collection].create_index(list(keys), name=name)
        for name in sorted(there - wanted.keys() - {"_id_"}):
            logger.warning(
                "An index that this build does not need is kept: %s of %s", name, collection
            )
