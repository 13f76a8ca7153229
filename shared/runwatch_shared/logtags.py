"""Every tag of a log line: when it is written, at which levels, and which facts it may carry.

The table of contract 16, and of docs/logs.md, which is made from it. A line carries those of the
facts that apply; lines of a request carry ``request_id`` and ``trace_id`` besides, errors a
``traceback``. Writing lines is in `logs`.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class TagNote:
    """What one tag stands for."""

    levels: str
    says: str
    facts: str
    """Keys as they stand in a line, separated by blanks."""


SERVER_NOTES: Final[dict[str, TagNote]] = {
    "alert": TagNote(
        "debug info warning error",
        "An alert by webhook was delivered, is tried again, or is given up",
        "run_id id to code reason attempt count",
    ),
    "auth": TagNote(
        "info warning",
        "Somebody logged in or could not, a session went on, a request was denied, a token or an"
        " invitation of a node was made or ended",
        "event kind by id scope code reason method path address node_id",
    ),
    "events": TagNote("debug", "A batch of events was taken", "run_id node_id count last_seq"),
    "events.gap": TagNote("info", "A batch left numbers out", "run_id node_id count last_seq"),
    "events.refused": TagNote(
        "info", "A batch of events was refused", "run_id node_id code seq last_seq"
    ),
    "health": TagNote(
        "info", "A run has another health flag", "run_id node_id health previous reason"
    ),
    "instance": TagNote(
        "info",
        "An instance was made, started, stopped, removed or reported on",
        "id action from to node_id by",
    ),
    "lease.expired": TagNote("warning", "A lease ran out", "run_id node_id epoch outcome"),
    "lease.fenced": TagNote(
        "warning",
        "A write under an ended lease was refused",
        "run_id node_id epoch current_epoch reason",
    ),
    "node.delete": TagNote("info", "A node was deleted", "node_id by"),
    "node.drain": TagNote(
        "info", "A node is drained or takes runs again", "node_id by status outcome"
    ),
    "node.heartbeat": TagNote(
        "debug info warning",
        "A heartbeat; info where the node is new, back, skewed or conflicting, warning where it is"
        " offline",
        "node_id status running capacity skew_ms lease_count code",
    ),
    "operation": TagNote(
        "info",
        "A login or another operation went on or ended",
        "id action agent_type from to node_id by code duration_ms",
    ),
    "otlp": TagNote(
        "debug info",
        "Telemetry was taken or left out, a run was found in it",
        "run_id agent_type signal outcome count reason by",
    ),
    "proxy": TagNote(
        "info",
        "A proxy was made, changed, tried or deleted",
        "id action node_id by code duration_ms",
    ),
    "retention": TagNote("info warning", "Old events or rows were removed", "event rows"),
    "run.cancel": TagNote("info", "A run is to be cancelled", "run_id node_id reason by status"),
    "run.claim": TagNote(
        "info",
        "A node asked for a run, or holds one without a claim",
        "run_id node_id epoch outcome duration_ms",
    ),
    "run.create.complete": TagNote(
        "info", "A run was made", "run_id task_id agent_type attempt by duration_ms"
    ),
    "run.create.failed": TagNote("info", "No run was made", "task_id by code"),
    "run.create.replayed": TagNote(
        "info", "The run of this idempotency key was made before", "task_id by duration_ms"
    ),
    "run.create.start": TagNote("debug", "A run is being made", "task_id by"),
    "run.create.task.not_found": TagNote(
        "info", "No run was made: there is no such task", "task_id by code"
    ),
    "run.lost": TagNote(
        "warning",
        "A run came back from its node",
        "run_id node_id epoch current_epoch reason outcome",
    ),
    "run.retry": TagNote(
        "info", "A run was made from an ended one", "run_id task_id from attempt by outcome"
    ),
    "run.status": TagNote(
        "info",
        "A run has another status",
        "run_id node_id epoch from to exit_code code duration_ms",
    ),
    "scheduler": TagNote(
        "debug info",
        "A run was assigned; at debug, a round is done",
        "run_id node_id queue_wait_ms assigned duration_ms",
    ),
    "server": TagNote(
        "info warning error",
        "The server starts, drains, stops, has the upkeep, changes its settings; and what has no"
        " tag of its own",
        "event listen version settings waiting skew_ms task stack count to error",
    ),
    "store": TagNote(
        "info warning error",
        "The database is open, was brought up to date, refuses or fails",
        "event database migration rows count duration_ms task error",
    ),
    "tls": TagNote(
        "info warning error",
        "A certificate was made, is served or cannot be used",
        "event fingerprint path error",
    ),
    "ws": TagNote(
        "debug info warning",
        "A socket opened or closed, a client starts over",
        "channel event code frames duration_ms revision run_id seq by reason version",
    ),
}

NODE_NOTES: Final[dict[str, TagNote]] = {
    "container.start": TagNote(
        "info warning",
        "An agent was started in a container",
        "run_id epoch agent_type container pid image",
    ),
    "container.stop": TagNote(
        "info warning",
        "It ended; what was left of one was removed",
        "run_id instance_id epoch agent_type container image exit_code duration_ms error reason",
    ),
    "event.report": TagNote(
        "debug warning error",
        "Events were reported; warning where that is tried again, error where they were refused",
        "run_id count from_seq to_seq status code attempt error reason spool_events",
    ),
    "login": TagNote(
        "info warning",
        "A login was carried out",
        "id agent_type event attempt code error duration_ms",
    ),
    "node": TagNote(
        "info warning error",
        "The node manager starts, serves metrics, drains, stops; and what has no tag of its own",
        "event node_id version url capacity running path pid listen settings waiting outcome error"
        " reason task stack count to",
    ),
    "node.heartbeat": TagNote(
        "debug info warning error",
        "A heartbeat; info and warning where it fails or works again",
        "node_id status running capacity lease_count attempt code error",
    ),
    "process.start": TagNote(
        "info warning",
        "An agent was started as a process",
        "run_id epoch agent_type container pid image",
    ),
    "process.stop": TagNote(
        "info warning",
        "It ended; a process it had left was ended",
        "run_id epoch agent_type container pid image exit_code duration_ms reason",
    ),
    "run.adopt": TagNote(
        "info",
        "A run of before the restart is taken up",
        "run_id epoch agent_type last_seq status",
    ),
    "run.cancel": TagNote("info", "A run is stopped", "run_id epoch agent_type reason"),
    "run.claim": TagNote(
        "info warning",
        "A run was claimed, refused, or could not be claimed",
        "run_id epoch agent_type attempt error reason",
    ),
    "run.end": TagNote(
        "info warning",
        "A run is over, or another's",
        "run_id epoch agent_type status exit_code code reason duration_ms",
    ),
    "run.execute": TagNote(
        "info warning error",
        "A run is carried out",
        "run_id epoch agent_type count code error",
    ),
    "session": TagNote(
        "debug info warning",
        "A session of an agent begun outside was found, shown, lost",
        "run_id agent_type path attempt count code error reason",
    ),
    "spool": TagNote(
        "warning error", "A run's log on disk is full or cannot be used", "run_id error"
    ),
    "workspace": TagNote(
        "info warning",
        "A workspace could not be made or looked at; old ones were removed",
        "run_id epoch agent_type count error",
    ),
}
