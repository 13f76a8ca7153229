"""`wait ID`: until a run ends or needs somebody, told by the exit code."""

import asyncio
from contextlib import aclosing

from runwatch_console.headless.exits import CommandError, ExitCode
from runwatch_console.headless.patience import Patience
from runwatch_console.headless.session import Session
from runwatch_console.headless.watching import frames_of
from runwatch_console.ports import Api, FleetFrame
from runwatch_shared.models import WorkflowSummary
from runwatch_shared.states import TERMINAL_STATUSES
from runwatch_shared.text import clean
from runwatch_shared.wire import ChangeFrame, SnapshotFrame, SubscribeFrame, WorkflowFilter


async def wait_for_run(
    session: Session,
    api: Api,
    run_id: str,
    *,
    timeout_s: float | None,
    patience_s: float,
    through_waits: bool,
) -> ExitCode:
    """The code that says how it went; prints one line.

    Args:
        timeout_s: give up after that with `TIMEOUT`; None: never.
        patience_s: how long the server may be away.
        through_waits: go on waiting while the run waits for a human.
    """
    waiting = _Waiting(session, run_id, through_waits=through_waits)
    try:
        async with asyncio.timeout(timeout_s):
            if (code := waiting.judge(await api.workflow(run_id))) is not None:
                return code
            return await _follow(session, waiting, Patience(patience_s))
    except TimeoutError as error:
        text = session.words(
            "headless.wait_timeout",
            id=clean(run_id),
            status=waiting.status,
            seconds=f"{timeout_s:g}",
        )
        raise CommandError(ExitCode.TIMEOUT, text) from error


async def _follow(session: Session, waiting: "_Waiting", patience: Patience) -> ExitCode:
    subscription = SubscribeFrame(
        id=1, topics=["workflows"], filter=WorkflowFilter(ids=[waiting.run_id])
    )
    async with aclosing(frames_of(session, subscription, patience)) as frames:
        async for frame in frames:
            if (code := waiting.take(frame)) is not None:
                return code
    raise AssertionError("the feed does not end by itself")


class _Waiting:
    """What is known of the run so far."""

    def __init__(self, session: Session, run_id: str, *, through_waits: bool) -> None:
        self.run_id = run_id
        self.status = "?"
        self._session = session
        self._through_waits = through_waits
        self._arriving = False

    def take(self, frame: FleetFrame) -> ExitCode | None:
        """The code once a frame says enough."""
        match frame:
            case SnapshotFrame():
                rows = frame.workflows or []
                self._arriving = (frame.part > 1 and self._arriving) or bool(rows)
                gone = frame.last and not self._arriving
            case ChangeFrame():
                rows = frame.workflows.upsert if frame.workflows else []
                removed = frame.workflows.remove if frame.workflows else []
                gone = any(key.id == self.run_id for key in removed)
            case _:
                return None
        for row in rows:
            if row.id == self.run_id and (code := self.judge(row)) is not None:
                return code
        if gone:
            facts = {"id": clean(self.run_id), "detail": "deleted"}
            raise CommandError(ExitCode.FAILED, self._session.words("headless.gone", **facts))
        return None

    def judge(self, run: WorkflowSummary) -> ExitCode | None:
        """The code if this row ends the waiting."""
        self.status = clean(run.status)
        shown = clean(run.id)
        words = self._session.words
        if run.status in TERMINAL_STATUSES:
            self._print(words("headless.wait_done", id=shown, status=self.status))
            return ExitCode.DONE if run.status == "done" else ExitCode.FAILED
        if run.state == "waiting" and not self._through_waits:
            prompt = clean(run.waiting.prompt, limit=300, fold=True) if run.waiting else ""
            self._print(words("headless.wait_human", id=shown, prompt=prompt))
            return ExitCode.WAITING
        return None

    def _print(self, text: str) -> None:
        self._session.printer.write(f"{text}\n")
