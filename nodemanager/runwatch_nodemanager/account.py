"""What is told of a run's way through this node: the lines of the log (contract 16) and the numbers
of the metrics (contract 4). What happens to the run is in `execution`.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from runwatch_nodemanager.agents.protocol import Json
from runwatch_nodemanager.assignment import Assignment
from runwatch_nodemanager.link import AnswerError
from runwatch_nodemanager.metrics import NodeMetrics
from runwatch_nodemanager.runtimes.protocol import Started
from runwatch_shared.errors import UnreachableError
from runwatch_shared.logs import Tag, log

logger: Final = logging.getLogger(__name__)


class Account:
    """Of one run.

    Args:
        assignment: The run as it is known now.
    """

    def __init__(
        self, run_id: str, metrics: NodeMetrics, assignment: Callable[[], Assignment]
    ) -> None:
        self._run_id = run_id
        self._metrics = metrics
        self._assignment = assignment

    def say(self, level: int, tag: Tag, sentence: str, **facts: Any) -> None:
        """One line with the run's id, its epoch and the type of its agent."""
        told = {
            "run_id": self._run_id,
            "epoch": self._assignment().epoch or None,
            "agent_type": self._agent_type or None,
        }
        log(logger, level, tag, sentence, **{**told, **facts})

    def claim_refused(self, reason: str) -> None:
        self._metrics.claim("refused")
        self.say(logging.INFO, "run.claim", "The claim was refused", reason=reason)

    def claim_retried(self, attempt: int, error: UnreachableError | AnswerError) -> None:
        self._metrics.claim("failed")
        sentence = "Could not claim a run, trying again"
        self.say(logging.WARNING, "run.claim", sentence, attempt=attempt, error=str(error))

    def claimed(self, agent_type: str, *, again: bool) -> None:
        """``again``: from an earlier process of this node."""
        self._metrics.claim("adopted" if again else "claimed")
        self.say(logging.INFO, "run.claim", "Claimed a run", agent_type=agent_type)

    def started(self, started: Started | None, *, contained: bool) -> None:
        """What the runtime made of the launch; None: it did not come up."""
        running = started is not None and started.running
        if contained:
            self._metrics.container_started(self._agent_type, ok=running)
        if started is not None and running:
            self.say(
                logging.INFO,
                "container.start" if started.container else "process.start",
                "Started an agent",
                container=started.container,
                pid=started.pid,
                image=started.image,
            )

    def refused(self, code: str, error: str) -> None:
        """There is nothing to start."""
        self.say(logging.WARNING, "run.execute", "Could not start a run", code=code, error=error)

    def ended(self, payload: Json, outcome: str, seconds: float) -> None:
        """It is over.

        Args:
            payload: Of its terminal event.
            seconds: How long it was here, for an agent that never ran.
        """
        assignment, exit_code = self._assignment(), payload.get("exit_code")
        told_ms = payload.get("duration_ms")
        duration_ms = told_ms if isinstance(told_ms, int) else None
        passed_s = seconds if duration_ms is None else duration_ms / 1000
        self._metrics.ended(self._agent_type, outcome, passed_s)
        contained = assignment.container is not None
        if contained or exit_code is not None:
            self.say(
                logging.INFO,
                "container.stop" if contained else "process.stop",
                "An agent ended",
                container=assignment.container,
                image=assignment.image,
                exit_code=exit_code,
                duration_ms=duration_ms,
            )
        self.say(
            logging.INFO,
            "run.end",
            "A run ended",
            status=outcome,
            exit_code=exit_code,
            code=payload.get("error_code"),
            duration_ms=round(passed_s * 1000),
        )

    def lost(self, reason: str) -> None:
        self._metrics.leases_lost.inc()
        self.say(logging.WARNING, "run.end", "Lost a run, stopping it", reason=reason)

    @property
    def _agent_type(self) -> str:
        snapshot = self._assignment().snapshot
        return snapshot.agent.type if snapshot else ""
