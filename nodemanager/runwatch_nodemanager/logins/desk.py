"""Takes the logins that the server asks this node for, and goes on with those it finds here."""

import asyncio
import contextlib
import logging
import re
import shutil
from collections.abc import Callable, Coroutine
from typing import Any, Final

from runwatch_nodemanager.agents.registry import agent_type as canonical
from runwatch_nodemanager.granted import variables_of
from runwatch_nodemanager.link import AnswerError
from runwatch_nodemanager.logins.keepers import Keepers
from runwatch_nodemanager.logins.login import Login, note_of
from runwatch_nodemanager.logins.note import load_note
from runwatch_nodemanager.workshop import Workshop
from runwatch_shared.backoff import Backoff
from runwatch_shared.errors import UnreachableError
from runwatch_shared.logins import Action, ActionPatch, account_id
from runwatch_shared.tasks import TaskOwner
from runwatch_shared.timestamps import parse_time

logger: Final = logging.getLogger(__name__)

MOST_LOGINS: Final = 8
"""At once; others stay with the server until one ends."""
PAUSE_S: Final = 1.0
"""Between polls that bring nothing new."""
ACTION_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


class LoginDesk:
    """Of one node manager.

    Args:
        on_change: Called when the accounts of this node are others than before.
    """

    def __init__(self, shop: Workshop, *, on_change: Callable[[], None]) -> None:
        self._shop = shop
        self._on_change = on_change
        self._keepers = Keepers()
        self._logins: dict[str, Login] = {}
        self._owner = TaskOwner("logins")
        self._backoff = Backoff(first_s=PAUSE_S)
        self._reconciled = False
        shop.metrics.auth_running.set_function(lambda: len(self._logins))

    @property
    def running(self) -> int:
        return len(self._logins)

    async def __aenter__(self) -> "LoginDesk":
        return self

    async def __aexit__(self, *unused: object) -> None:
        await self._owner.stop()

    def adopt_all(self) -> None:
        """Go on with the logins that an earlier process of this node began."""
        for path in sorted(self._shop.folder.logins.iterdir()):
            folder = self._shop.folder.login(path.name)
            note = load_note(folder)
            if note is None:
                # Nothing was begun: the server still has it, or is told so.
                self._shop.runtime.clear(folder)
                shutil.rmtree(path, ignore_errors=True)
                continue
            login = Login(self._shop, self._keepers, note, on_change=self._on_change)
            self._carry_out(login, login.adopt())

    async def end(self, limit_s: float) -> None:
        """End all of them, and tell it; at most so long."""
        for login in self._logins.values():
            login.end()
        if self._owner.tasks:
            await asyncio.wait(set(self._owner.tasks), timeout=limit_s)

    async def run_once(self) -> None:
        """One long poll, and what it brings."""
        try:
            if not self._reconciled:
                await self._reconcile()
            answer = await self._shop.link.actions(wait_s=self._shop.settings.claim_wait_s)
        except AnswerError as error:
            # A server of an older version knows no logins.
            await asyncio.sleep(PAUSE_S + self._backoff.next_s(error.retry_after_s))
            return
        except UnreachableError:
            await self._shop.link.rest(PAUSE_S + self._backoff.next_s())
            return
        self._backoff.reset()
        taken = [self._take(action) for action in answer.actions]
        if not answer.actions:
            for login in self._logins.values():
                login.nudge()
        if answer.actions and not any(taken):
            await asyncio.sleep(PAUSE_S)

    def _take(self, action: Action) -> bool:
        """Begin it, or pass on what a person entered; False if there is nothing to do."""
        login = self._logins.get(action.id)
        if action.input is not None:
            return login is not None and login.type(action.input)
        if login is not None or action.status != "assigned":
            return False
        if len(self._logins) >= MOST_LOGINS or not ACTION_ID.fullmatch(action.id):
            return False
        return self._begin(action)

    def _begin(self, action: Action) -> bool:
        operation = action.operation
        if operation is None:
            return False
        kind = canonical(operation.config.agent_type)
        now_us = self._shop.clock.now_us()
        note = note_of(
            action,
            account_id(kind, operation.config.name),
            kind,
            ends_us=now_us + parse_time(action.expires_at) - parse_time(action.created_at),
            now_us=now_us,
        )
        login = Login(self._shop, self._keepers, note, on_change=self._on_change)
        self._carry_out(login, login.begin(api_key=operation.config.api_key, given=_given(action)))
        return True

    async def _reconcile(self) -> None:
        """Once after the start: what the server takes for begun here and of which nothing is left.

        A key is given out until its action ends, so a login by key is simply done again.
        """
        answer = await self._shop.link.actions(wait_s=0, status="running,waiting")
        self._reconciled = True
        for action in answer.actions:
            if action.id in self._logins:
                if action.input is not None:
                    self._take(action)
                continue
            operation = action.operation
            if operation is not None and operation.type == "api_key":
                self._begin(action)
                continue
            error = "the node manager was restarted and nothing of the login is left"
            patch = ActionPatch(status="failed", message="The login failed", error=error)
            with contextlib.suppress(AnswerError):
                await self._shop.link.patch_action(action.id, patch)

    def _carry_out(self, login: Login, work: Coroutine[Any, Any, None]) -> None:
        action_id = login.note.action_id
        self._logins[action_id] = login
        self._owner.spawn(self._watched(login, work), name=f"login {action_id}")

    async def _watched(self, login: Login, work: Coroutine[Any, Any, None]) -> None:
        action_id = login.note.action_id
        try:
            await work
        except Exception:
            logger.exception("Could not carry out login %s", action_id)
            error = "the node manager could not carry out the login"
            patch = ActionPatch(status="failed", message="The login failed", error=error)
            with contextlib.suppress(AnswerError, UnreachableError):
                await self._shop.link.patch_action(action_id, patch)
            await login.abandon()
        finally:
            self._logins.pop(action_id, None)


def _given(action: Action) -> dict[str, str] | None:
    """The variables it gets of its proxy and node; None where its own proxy cannot be had."""
    wanted = None if action.operation is None else action.operation.config.proxy_id
    if action.env_config is None:
        return {} if wanted is None else None
    return variables_of(action.env_config, {})
