"""What screens ask of the app and what it does: dialogs, writes to the server, copies, commands.

It is loaded when something is asked for the first time, and each dialog with the first of its kind.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from runwatch_console.clipboard import copy_way
from runwatch_console.commands import CommandError
from runwatch_console.messages import (
    CancelRequested,
    CommandEntered,
    CopyRequested,
    DiffRequested,
    EventOpenRequested,
    ExplainRequested,
    LoginCancelRequested,
    LoginMessage,
    MachineMessage,
    PeekRequested,
    Request,
    RetryRequested,
    RunOpenRequested,
    StartRequested,
    TaskOpenRequested,
)
from runwatch_console.ports import ApiError
from runwatch_console.rows import RunRow
from runwatch_console.screens.command_requests import request_of
from runwatch_shared.text import clean

if TYPE_CHECKING:
    from runwatch_console.app import ConsoleApp
    from runwatch_console.login_answers import LoginAnswers
    from runwatch_console.machine_answers import MachineAnswers
    from runwatch_console.ports import Asking
    from runwatch_console.taskrows import TaskRow
    from runwatch_console.view_answers import ViewAnswers

COPY_S: Final = 5.0


class Answers:
    """See the module."""

    def __init__(self, app: "ConsoleApp") -> None:
        self.app = app
        self._by_kind: dict[type[Request], Callable[[Any], None]] = {
            PeekRequested: lambda asked: self._peek(asked.run_id),
            ExplainRequested: lambda asked: self._explain(asked.run_id),
            DiffRequested: lambda asked: self._diff(asked.left, asked.right),
            TaskOpenRequested: lambda asked: self._open_task(asked.task),
            EventOpenRequested: self._open_event,
            CancelRequested: lambda asked: self._ask_to_cancel(asked.run_ids),
            StartRequested: lambda asked: self._write(self._start_run, asked.task_id),
            RetryRequested: lambda asked: self._write(self._retry_run, asked.run_id),
            CommandEntered: self._command,
            CopyRequested: lambda asked: self._copy(asked.text),
        }

    def answer(self, request: Request) -> None:
        """Do what is asked, or begin it."""
        match request:
            case LoginMessage():
                self.logins.answer(request)
            case MachineMessage():
                self.machines.answer(request)
            case _:
                self._by_kind[type(request)](request)

    @cached_property
    def logins(self) -> "LoginAnswers":
        """What is done about logins and accounts; loaded with the first of it."""
        from runwatch_console.login_answers import LoginAnswers

        return LoginAnswers(self)

    @cached_property
    def machines(self) -> "MachineAnswers":
        """What is done about what nodes have; loaded with the first of it."""
        from runwatch_console.machine_answers import MachineAnswers

        return MachineAnswers(self)

    @cached_property
    def views(self) -> "ViewAnswers":
        """What is done with views; loaded with the first of them."""
        from runwatch_console.settings_file import SettingsFile
        from runwatch_console.view_answers import ViewAnswers

        path = self.app.settings_file
        return ViewAnswers(self.app, None if path is None else SettingsFile(path))

    # Dialogs.

    def _run(self, run_id: str) -> RunRow | None:
        run = self.app.state.fleet.runs.get(run_id)
        if run is None and (screen := self.app.console_screen) is not None:
            return screen.run_known(run_id)
        return run

    def _peek(self, run_id: str) -> None:
        from runwatch_console.dialogs.peek import PeekDialog

        if (run := self._run(run_id)) is not None:
            self.app.push_screen(PeekDialog(self.app, run))

    def _explain(self, run_id: str) -> None:
        from runwatch_console.dialogs.explain import ExplainDialog

        self.app.push_screen(ExplainDialog(self.app, run_id, self._run(run_id)))

    def _open_task(self, task: "TaskRow") -> None:
        from runwatch_console.dialogs.task import TaskDialog

        self.app.push_screen(TaskDialog(self.app, task))

    def _diff(self, left: str, right: str) -> None:
        from runwatch_console.dialogs.diff import DiffDialog

        self.app.push_screen(DiffDialog(self.app, left, right))

    def _open_event(self, asked: EventOpenRequested) -> None:
        self.work(self._show_event(asked.run_id, asked.seq), "open")

    async def _show_event(self, run_id: str, seq: int) -> None:
        """Show the run, and the event in it."""
        from runwatch_console.screens.run_jump import RunJumpScreen

        await self.app.show_screen("run", run_id=run_id)
        if isinstance(screen := self.app.console_screen, RunJumpScreen):
            screen.show_event(run_id, seq)

    def help(self) -> None:
        """Keys and signs of this screen."""
        from runwatch_console.dialogs.help import HelpDialog

        app = self.app
        screen = app.console_screen
        if screen is not None and app.screen is screen:
            owners = ("replay", *screen.OWNERS) if app.state.replaying else screen.OWNERS
            app.push_screen(HelpDialog(app.state, owners, app.keymap))

    def new_run(self) -> None:
        """Ask what to run."""
        from runwatch_console.dialogs.new_run import NewRunDialog

        if self.may_write():
            self.app.push_screen(NewRunDialog(self.app), self._run_made)

    def _run_made(self, run_id: str | None) -> None:
        if run_id:
            self.app.tell("new.made", run=run_id)
            self.app.post_message(RunOpenRequested(run_id))

    def _ask_to_cancel(self, run_ids: Sequence[str]) -> None:
        """Ask, then cancel: only what can still be cancelled."""
        from runwatch_console.dialogs.confirm_cancel import ConfirmCancelDialog

        if not self.may_write():
            return
        known = {run_id: self._run(run_id) for run_id in run_ids}
        under_way = [run for run in known.values() if run is not None and not run.ended]
        live = [run for run in under_way if run.type != "auth"]
        # Of a run that is not held the server says whether it can be cancelled.
        others = [run_id for run_id, run in known.items() if run is None]
        if not live and not others:
            if len(under_way) == 1:
                self.logins.answer(LoginCancelRequested(f"run:{under_way[0].id}"))
            else:
                self.app.tell("cancel.login" if under_way else "cancel.none")
            return
        asked = (*(run.id for run in live), *others)
        self.app.push_screen(
            ConfirmCancelDialog(self.app.state, live, others), partial(self._cancel_answered, asked)
        )

    def _cancel_answered(self, run_ids: tuple[str, ...], yes: bool | None) -> None:
        if yes:
            self.work(self._cancel_runs(run_ids), "write")
            if (screen := self.app.console_screen) is not None:
                screen.clear_marks()

    # Writes.

    def work(self, work: Coroutine[object, object, None], group: str) -> None:
        """Do it beside the keys."""
        self.app.run_worker(work, group=group, exit_on_error=False)

    def _write(self, work: Callable[[str], Coroutine[object, object, None]], about: str) -> None:
        if self.may_write():
            self.work(work(about), "write")

    def may_write(self) -> bool:
        """Whether something may be changed; why not is said."""
        state = self.app.state
        if state.past is not None or state.replaying:
            word = "replay.no_write" if state.replaying else "rewind.no_write"
            self.app.tell(word, severity="warning")
            return False
        if state.preferences.read_only:
            self.app.tell("read_only.asked", severity="warning")
            return False
        link = state.link
        if link.read_only:
            self.app.tell("read_only", severity="warning", scope=link.scope)
        return not link.read_only

    def ask(
        self,
        title: str,
        effect: str,
        work: Callable[[], Coroutine[object, object, None]],
        **facts: object,
    ) -> None:
        """Ask, and do it after a `y`. `title` and `effect`: ids of the locale; facts are clean."""
        from runwatch_console.dialogs.confirm import ConfirmDialog

        if not self.may_write():
            return
        words = self.app.state.words
        dialog = ConfirmDialog(
            self.app.state,
            title=words(title, **facts),
            effect=words(effect, **facts),
            ask=words("confirm.ask"),
        )

        def answered(yes: bool | None) -> None:
            if yes:
                self.work(work(), "write")

        self.app.push_screen(dialog, answered)

    async def done(
        self,
        work: Callable[["Asking"], Coroutine[object, object, object]],
        word: str,
        then: Callable[[], object],
    ) -> None:
        """Do something at the server, say that it was done, and go on with `then`."""
        connection = await self.app.connection()
        try:
            await work(connection.api)
        except ApiError as error:
            self.say_refused(error)
        else:
            self.app.tell(word)
        then()

    def say_refused(self, error: ApiError) -> None:
        """The server did not do it."""
        self.app.tell("api.refused", severity="error", error=_said(error))

    async def _cancel_runs(self, run_ids: tuple[str, ...]) -> None:
        """Cancel one after the other; what the server answered is said."""
        connection = await self.app.connection()
        asked = 0
        for run_id in run_ids:
            try:
                await connection.api.cancel_run(run_id)
                asked += 1
            except ApiError as error:
                self.app.tell("cancel.refused", severity="error", run=run_id, error=_said(error))
        if asked:
            self.app.tell("cancel.asked", n=asked)

    async def _start_run(self, task_id: str) -> None:
        """One more run of a task, and open it."""
        connection = await self.app.connection()
        try:
            run = await connection.api.create_run(task_id)
        except ApiError as error:
            self.app.tell("start.refused", severity="error", task=task_id, error=_said(error))
            return
        self.app.tell("new.made", run=clean(run.id))
        self.app.post_message(RunOpenRequested(clean(run.id)))

    async def _retry_run(self, run_id: str) -> None:
        """Run it again, and open the new run."""
        connection = await self.app.connection()
        try:
            run = await connection.api.retry_run(run_id)
        except ApiError as error:
            self.app.tell("retry.refused", severity="error", run=run_id, error=_said(error))
            return
        self.app.tell("new.made", run=clean(run.id))
        self.app.post_message(RunOpenRequested(clean(run.id)))

    # Commands and copies.

    def _command(self, entered: CommandEntered) -> None:
        try:
            self.app.post_message(request_of(entered.text, self.app.state.fleet, entered.run_id))
        except CommandError as error:
            facts = {name: clean(fact) for name, fact in error.facts.items()}
            self.app.tell(error.word, severity="warning", **facts)

    def _copy(self, text: str) -> None:
        way = copy_way(self.app.environment, len(text))
        if way.command:
            self.work(self._copy_by_program(way.command, text, way.word), "copy")
            return
        self.app.copy_to_clipboard(text)
        self.app.tell(way.word, n=f"{len(text):,}")

    async def _copy_by_program(self, command: tuple[str, ...], text: str, word: str) -> None:
        """Give the text to a program; its failure is said."""
        try:
            async with asyncio.timeout(COPY_S):
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                )
                await process.communicate(text.encode())
        except (OSError, TimeoutError):
            self.app.tell("copy.failed", severity="error", program=command[0])
            return
        if process.returncode == 0:
            self.app.tell(word, n=f"{len(text):,}")
        else:
            self.app.tell("copy.failed", severity="error", program=command[0])


def _said(error: ApiError) -> str:
    return clean(error.error, limit=200, fold=True)
