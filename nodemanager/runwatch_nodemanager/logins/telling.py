"""What is told of a login: to the server, however long it is away, and to the log (contract 16)."""

import logging
from collections.abc import Callable
from typing import Any, Final

from runwatch_nodemanager.link import AnswerError, Link
from runwatch_nodemanager.logins.note import Note
from runwatch_nodemanager.logins.step import PROGRESS
from runwatch_nodemanager.patience import persist
from runwatch_shared.errors import UnreachableError
from runwatch_shared.logins import ActionPatch, ActionStatus, Phase
from runwatch_shared.logs import log

logger: Final = logging.getLogger(__name__)

OVER: Final = frozenset({"success", "failed", "timeout", "cancelled"})
"""Statuses of an action that never change."""


BAD_REQUEST: Final = 400


class OverError(Exception):
    """The server takes the action for ended."""


class Telling:
    """Of one login.

    Args:
        note: The login as it is known now.
    """

    def __init__(self, link: Link, note: Callable[[], Note]) -> None:
        self._link = link
        self._note = note
        self._phase: Phase | None = None

    async def phase(self, phase: Phase, message: str) -> None:
        """It goes on.

        Raises:
            OverError: Not for the server.
        """
        await self.patch("running", phase, message)

    async def patch(
        self,
        status: ActionStatus,
        phase: Phase | None,
        message: str,
        *,
        result: dict[str, Any] | None = None,
        error: str | None = None,
    ) -> None:
        """Tell the server until it has heard it.

        Raises:
            OverError: It is over there.
        """
        fields: dict[str, Any] = {"message": message}
        if phase is not None:
            fields |= {"phase": phase, "progress": 100 if status == "success" else PROGRESS[phase]}
        if result:
            fields["result"] = result
        if error is not None:
            fields["error"] = error
        patch = ActionPatch(status=status, **fields)
        if phase is not None and phase != self._phase:
            self._phase = phase
            self.say(logging.INFO, "A login goes on", phase)
        try:
            answer = await persist(
                lambda: self._link.patch_action(self._note().action_id, patch),
                rest=self._link.rest,
                on_retry=self._retried,
            )
        except AnswerError as problem:
            if problem.status == BAD_REQUEST and (result or error):
                # A page or words it does not take must not leave the login waiting for ever.
                self.say(logging.WARNING, "The server does not take a step", problem.code)
                await self.patch(status, phase, "The server refused what the agent showed")
                return
            self.say(logging.INFO, "The server takes a login for ended", problem.code)
            raise OverError from problem
        if answer.cancelled and status not in OVER:
            raise OverError

    def say(self, level: int, sentence: str, event: str, **facts: Any) -> None:
        """One line of the log."""
        note = self._note()
        log(
            logger,
            level,
            "login",
            sentence,
            id=note.action_id,
            agent_type=note.agent_type,
            event=event,
            **facts,
        )

    def _retried(self, attempt: int, error: UnreachableError | AnswerError) -> None:
        level = logging.WARNING if attempt in (1, 10) else logging.DEBUG
        sentence = "Could not report a login, trying again"
        self.say(level, sentence, "report", attempt=attempt, error=str(error))
