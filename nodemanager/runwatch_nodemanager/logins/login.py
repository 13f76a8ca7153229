"""One login on this node, from the action that asks for it to its end; or one adopted.

Its own process (`keeper`) goes on while no node manager runs; what it told meanwhile is passed on
by the next one, in order. Cancelling the task leaves that process alone.
"""

import asyncio
import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from runwatch_nodemanager.link import AnswerError
from runwatch_nodemanager.logins.archive import ArchiveError, pack
from runwatch_nodemanager.logins.install import install, store_key
from runwatch_nodemanager.logins.keepers import KeeperError, Keepers, last_words
from runwatch_nodemanager.logins.keys import KeyRefusedError, usable_key
from runwatch_nodemanager.logins.note import Note, save_note, staging
from runwatch_nodemanager.logins.plan import (
    LoginPlan,
    NoLoginError,
    plan_login,
    recipe_for,
    record_of,
)
from runwatch_nodemanager.logins.recipes import API_KEY
from runwatch_nodemanager.logins.recogniser import one_line
from runwatch_nodemanager.logins.step import Outcome, Step
from runwatch_nodemanager.logins.telling import OVER, OverError, Telling
from runwatch_nodemanager.logins.verify import refused_by_agent
from runwatch_nodemanager.runtimes.engine_address import EngineError
from runwatch_nodemanager.runtimes.protocol import PlacementError, RuntimeStartError
from runwatch_nodemanager.workshop import Workshop
from runwatch_shared.errors import UnreachableError
from runwatch_shared.logins import Action, ActionStatus
from runwatch_shared.timestamps import MICROSECONDS_PER_SECOND, format_time

CANCEL_LOOK_S: Final = 2.0
"""Between looks whether a person has cancelled a login that says nothing new."""
GONE_LOOKS: Final = 3
"""Looks after the end of its process until a login without a last step is given up."""
END_LOOK_S: Final = 0.1
END_S: Final = 10.0
"""How long a login that was told to end may take."""
STATUS_OF_OUTCOME: Final[dict[Outcome, ActionStatus]] = {
    "succeeded": "success",
    "failed": "failed",
    "timeout": "timeout",
    "cancelled": "cancelled",
}


NOTHING: Final[Mapping[str, str]] = {}


class Login:
    """See the module.

    Args:
        on_change: Called when the accounts of this node are others than before.
    """

    def __init__(
        self, shop: Workshop, keepers: Keepers, note: Note, *, on_change: Callable[[], None]
    ) -> None:
        self.note = note
        self.folder = shop.folder.login(note.action_id)
        self._shop = shop
        self._keepers = keepers
        self._on_change = on_change
        self._telling = Telling(shop.link, lambda: self.note)
        self._plan: LoginPlan | None = None
        self._given: Mapping[str, str] = NOTHING
        self._looked_at = shop.clock.monotonic()
        self.outcome: str | None = None

    async def begin(
        self, *, api_key: str | None, given: Mapping[str, str] | None = NOTHING
    ) -> None:
        """Carry out a login that was just asked for.

        Args:
            given: Variables of its proxy and node; None where its own proxy cannot be had: it must
                not go without.
        """
        self._telling.say(logging.INFO, "A login begins", self.note.method)
        try:
            self.folder.create()
            await asyncio.to_thread(save_note, self.folder, self.note)
            if self.note.method == API_KEY:
                await self._take_key(api_key)
                return
            if given is None:
                await self._fail("its proxy is not there or not active")
                return
            self._given = given
            await self._telling.phase("initializing", "Looking for the agent's program")
            refusal = await self._start()
            if refusal is not None:
                await self._fail(refusal)
                return
            await self._follow()
        except OverError:
            await self._give_up()

    async def adopt(self) -> None:
        """Go on with one that an earlier node manager began."""
        self._telling.say(logging.INFO, "Adopted a login of an earlier process", self.note.method)
        try:
            if self.note.installed:
                await self._complete()
            elif self.note.method == API_KEY or not (self._alive() or self.folder.read_steps()):
                await self._fail("the node manager was restarted before the login had begun")
            else:
                await self._follow()
        except OverError:
            await self._give_up()

    def type(self, text: str) -> bool:
        """What a person entered, once; False if nobody asks for it any more."""
        done = self._keepers.type(self.folder, text)
        self._telling.say(logging.INFO, "Passed on what a person entered", "input")
        return done

    def end(self) -> None:
        """Its node ends with all its work: the login is cancelled, and that is told."""
        self._keepers.stop(self.folder)

    def nudge(self) -> None:
        """Somebody may have ended it at the server."""
        self._looked_at = 0.0
        with contextlib.suppress(OSError):
            descriptor = os.open(self.folder.wake, os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(descriptor, b"n")
            finally:
                os.close(descriptor)

    async def _start(self) -> str | None:
        """Start its own process; why it cannot be."""
        shop = self._shop
        try:
            plan = await asyncio.to_thread(plan_login, shop, self.folder, self.note, self._given)
            if plan.launch is not None and plan.launch.plan is not None:
                image = plan.launch.plan.image
                self.note = msgspec.structs.replace(self.note, contained=True, image=image)
                await asyncio.to_thread(save_note, self.folder, self.note)
                await shop.runtime.prepare(plan.launch)
            await asyncio.to_thread(self._keepers.start, self.folder, plan.order)
        except (NoLoginError, PlacementError, EngineError, RuntimeStartError, KeeperError) as error:
            return str(error)
        except OSError as error:
            return f"the login's folder cannot be used: {error.strerror or error}"
        self._plan = plan
        return None

    async def _follow(self) -> None:
        """Pass on every step to the last one."""
        gone = 0
        with self._shop.runtime.stream(self.folder) as growth:
            while True:
                steps = await asyncio.to_thread(self.folder.read_steps)
                for step in steps:
                    if step.number > self.note.told and step.outcome is None:
                        await self._pass_on(step)
                if steps and steps[-1].outcome is not None:
                    await self._end(steps[-1])
                    return
                gone = 0 if self._alive() else gone + 1
                if gone > GONE_LOOKS:
                    await asyncio.to_thread(self._shop.runtime.clear, self.folder)
                    because = last_words(self.folder)
                    words = "the login's process was killed, or its machine restarted"
                    await self._fail(f"{words}: {because}" if because else words)
                    return
                await growth.wait(CANCEL_LOOK_S if gone == 0 else CANCEL_LOOK_S / 10)
                now = self._shop.clock.monotonic()
                if now - self._looked_at > CANCEL_LOOK_S:
                    self._looked_at = now
                    await self._look_for_cancel()

    def _alive(self) -> bool:
        return self._keepers.alive(self.folder)

    async def _pass_on(self, step: Step) -> None:
        result = dict(step.result)
        seconds = result.pop("expires_in_s", None)
        if seconds is not None:
            ends_us = self._shop.clock.now_us() + int(seconds) * MICROSECONDS_PER_SECOND
            result["expires_at"] = format_time(min(ends_us, self.note.expires_at_us))
        await self._telling.patch(
            "waiting" if step.waiting else "running",
            step.phase,
            step.message,
            result=result,
        )
        self.note = msgspec.structs.replace(self.note, told=step.number)
        await asyncio.to_thread(save_note, self.folder, self.note)

    async def _end(self, step: Step) -> None:
        if step.outcome == "succeeded":
            await self._succeed()
        else:
            await self._fail(
                step.error or step.message, status=STATUS_OF_OUTCOME[step.outcome or "failed"]
            )

    async def _succeed(self) -> None:
        """See that the login is good, put it into the account's home, tell."""
        if not self.note.installed:
            await self._telling.phase(
                "verifying_credentials", "Asking the agent whether it is logged in"
            )
            refusal = await asyncio.to_thread(self._verify)
            if refusal is not None:
                await self._fail(refusal)
                return
            await self._telling.phase("saving_credentials", "Keeping the login on this node")
            try:
                await asyncio.to_thread(self._install)
            except OSError as error:
                await self._fail(f"the login could not be kept: {error.strerror or error}")
                return
        await self._complete()

    def _verify(self) -> str | None:
        recipe = recipe_for(self._shop.settings, self.note.agent_type, self.note.method)
        return refused_by_agent(self._shop, self.folder, self.note, recipe, self._plan)

    def _install(self) -> None:
        shop = self._shop
        record = record_of(shop.settings, self.note, shop.clock.now_us())
        install(shop.accounts, record, staging(self.folder), now_us=shop.clock.now_us())
        self.note = msgspec.structs.replace(self.note, installed=True)
        save_note(self.folder, self.note)

    async def _complete(self) -> None:
        """The account has it: tell the server, then have it stored if wished."""
        await self._telling.phase("finalizing", "The account is logged in")
        shop = self._shop
        account = shop.accounts.get(self.note.account_id)
        result: dict[str, Any] = {"input_prompt": None}
        if account is not None:
            ends_us = account.worth(shop.clock.now_us())[1]
            if ends_us is not None:
                result["account_expires_at"] = format_time(ends_us)
        self._on_change()
        await self._telling.patch(
            "success", "finalizing", "The account is logged in", result=result
        )
        # Of a first login the server has an account only now.
        if account is not None and shop.settings.logins_stored:
            await self._store(account.home.parent, account.place.auth_dir)
        await self._over("success")

    async def _store(self, place: Path, auth_dir: str) -> None:
        try:
            data = await asyncio.to_thread(pack, place, auth_dir)
            await self._shop.link.put_archive(self.note.account_id, data)
        except (ArchiveError, AnswerError, UnreachableError, OSError) as error:
            # The login itself is good, on this node.
            words = one_line(str(error))
            sentence = "Could not store a login at the server"
            self._telling.say(logging.WARNING, sentence, "stored", error=words)

    async def _take_key(self, api_key: str | None) -> None:
        await self._telling.phase("initializing", "Taking the key")
        shop = self._shop
        try:
            key = usable_key(api_key)
            await self._telling.phase("saving_credentials", "Keeping the key on this node")
            record = record_of(shop.settings, self.note, shop.clock.now_us())
            await asyncio.to_thread(store_key, shop.accounts, record, shop.settings, key)
        except (KeyRefusedError, OSError) as error:
            await self._fail(str(error))
            return
        self.note = msgspec.structs.replace(self.note, installed=True)
        await asyncio.to_thread(save_note, self.folder, self.note)
        await self._complete()

    async def _fail(self, error: str, *, status: ActionStatus = "failed") -> None:
        await self._telling.patch(
            status,
            None,
            "The login failed",
            error=one_line(error),
            result={"input_prompt": None},
        )
        await self._over(status)

    async def _look_for_cancel(self) -> None:
        try:
            action = await self._shop.link.action(self.note.action_id)
        except UnreachableError:
            return
        except AnswerError as error:
            if error.status == 404:
                raise OverError from error
            return
        if action.status in OVER:
            raise OverError

    async def abandon(self) -> None:
        """After a defect of ours: nothing of it may go on."""
        await self._stop()
        await self._over("failed")

    async def _give_up(self) -> None:
        """A person cancelled it, or its time is over at the server: nothing of it may go on."""
        await self._stop()
        status = "cancelled"
        with contextlib.suppress(AnswerError, UnreachableError):
            told = (await self._shop.link.action(self.note.action_id)).status
            status = told if told in OVER else status
        await self._over(status)

    async def _stop(self) -> None:
        self._keepers.stop(self.folder)
        await self._ended()

    async def _ended(self) -> None:
        """Wait for its process, which lives a moment longer than its last step."""
        if self._keepers.gone(self.folder):
            return
        deadline = self._shop.clock.monotonic() + END_S
        with self._shop.runtime.stream(self.folder) as growth:
            while not self._keepers.gone(self.folder) and self._shop.clock.monotonic() < deadline:
                await growth.wait(END_LOOK_S)

    async def _over(self, outcome: str) -> None:
        """Nothing of it is left: no process, no container, no folder with half a login."""
        self.outcome = outcome
        await self._ended()
        await asyncio.to_thread(self._shop.runtime.clear, self.folder)
        self._shop.metrics.login_ended(outcome)
        await asyncio.to_thread(shutil.rmtree, self.folder.path, ignore_errors=True)
        began_us = self.note.began_at_us
        self._telling.say(
            logging.INFO if outcome == "success" else logging.WARNING,
            "A login ended",
            outcome,
            duration_ms=(self._shop.clock.now_us() - began_us) // 1000,
        )


def note_of(action: Action, account: str, agent_type: str, *, ends_us: int, now_us: int) -> Note:
    """Of an action that was just given to this node."""
    operation = action.operation
    return Note(
        action_id=action.id,
        operation_id=action.operation_id,
        account_id=account,
        agent_type=agent_type,
        method=operation.type if operation else "",
        expires_at_us=ends_us,
        began_at_us=now_us,
    )
