"""English words of what the server tells in sentences of a known form."""

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, str]] = {
    # Why a run is queued (contract 12).
    "queue.joint": "; ",
    "queue.no_nodes": "no node known",
    "queue.none_online": "no node online ({n} known)",
    "queue.none_offers": "no online node offers {agent}",
    "queue.none_has": "no online node has {labels}",
    "queue.full": "{nodes} full{numbers}",
    "queue.lacks_login": "{nodes} lacks login for {agent}",
    "queue.not_ready": "{nodes} has {agent} not ready",
    "queue.pinned": "pinned to {node}: {why}",
    "queue.instance": "instance {id}: {why}",
    "queue.maintenance": "{nodes} in maintenance",
    "queue.draining": "{nodes} draining",
    "queue.unclaimed": "{node} did not claim in {t}, trying again",
    "queue.placing": "waiting for the scheduler",
    "queue.offline": "{nodes} offline",
    "queue.without": "{nodes} without {what}",
    "queue.more": "+{n} more",
    "queue.why_full": "full{numbers}",
    "queue.why_offline": "offline",
    "queue.why_draining": "draining",
    "queue.why_maintenance": "in maintenance",
    "queue.why_not_known": "not known",
    "queue.why_stopped": "stopped",
    "queue.why_elsewhere": "not on this node",
    "queue.why_lacks_login": "lacks login for {agent}",
    "queue.why_without": "without {what}",
    "queue.why_room": "has room, waiting for the scheduler",
    # Why a run is unhealthy (contract 6.3).
    "health.looping": "same {tool} call {n} of last {m}",
    "health.stalled": "silent over {t}, no tool in flight",
    "health.slow": "running over {t}",
    "health.stuck_queued": "queued over {t}",
    "health.waiting_long": "waiting over {t}",
    # Codes of errors (contract 5.3): English keeps the code.
    "error.no_result": "no_result",
    "error.agent_error": "agent_error",
    "error.limit_reached": "limit_reached",
    "error.start_failed": "start_failed",
    "error.workspace_failed": "workspace_failed",
    "error.agent_missing": "agent_missing",
    "error.login_missing": "login_missing",
    "error.interrupted": "interrupted",
    "error.node_lost": "node_lost",
    "error.timeout": "timeout",
    "error.cancel_unconfirmed": "cancel_unconfirmed",
    "error.auth_failed": "auth_failed",
}
