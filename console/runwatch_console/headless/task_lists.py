"""`tasks`: the tasks, newest first, once or again whenever their numbers change."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Final

from runwatch_console.formats import format_count, moment_s
from runwatch_console.headless.exits import ExitCode
from runwatch_console.headless.formats import Output
from runwatch_console.headless.listings import Listing
from runwatch_console.headless.patience import Patience
from runwatch_console.headless.printing import ListPrinter
from runwatch_console.headless.session import Session
from runwatch_console.headless.watching import frames_of
from runwatch_console.ports import Api
from runwatch_console.taskrows import TASK_COLUMNS, TaskRow, task_row
from runwatch_shared.models import Task
from runwatch_shared.wire import ChangeFrame, SnapshotFrame, SubscribeFrame

PAGE: Final = 1_000

TASKS: Final[Listing[Task, TaskRow]] = Listing(
    # Tasks themselves do not travel on the feed: their numbers do.
    topic="stats",
    columns=TASK_COLUMNS,
    fields=(
        ("id", lambda task: task.id),
        ("name", lambda task: task.name),
        ("status", lambda task: task.status),
        ("agent_type", lambda task: task.agent.type),
        ("model", lambda task: task.agent.model),
        ("runs", lambda task: task.runs.total),
        ("active_runs", lambda task: task.runs.active),
        ("last_run_id", lambda task: task.runs.last_run_id),
        ("last_status", lambda task: task.runs.last_status),
        ("priority", lambda task: task.priority),
        ("timeout_s", lambda task: task.timeout_s),
        ("created_at", lambda task: task.created_at),
        ("updated_at", lambda task: task.updated_at),
    ),
    key=lambda task: task.id,
    row=task_row,
    snapshot=lambda _: (),
    upserts=lambda _: (),
    removals=lambda _: (),
)
Query = Mapping[str, Sequence[str]]


async def print_tasks(
    session: Session, api: Api, query: Query, limit: int, output: Output
) -> ExitCode:
    """The tasks that match, at most `limit`."""
    found, total, now_s = await _read(api, query, limit)
    ListPrinter(TASKS, output, session).whole(found, now_s)
    if output is Output.TABLE:
        word_id = "headless.shown" if found or query else "empty.no_tasks"
        shown = format_count(len(found))
        session.printer.say(session.words(word_id, shown=shown, total=total))
    return ExitCode.DONE


async def _read(api: Api, query: Query, limit: int) -> tuple[list[Task], str, float]:
    found: list[Task] = []
    cursor = None
    while True:
        page = await api.tasks(query, limit=min(PAGE, limit - len(found)), cursor=cursor)
        found += page.tasks
        cursor = page.next_cursor
        if cursor is None or len(found) >= limit:
            break
    total = format_count(page.total) + ("" if page.total_exact else "+")
    return found, total, moment_s(page.server_time) or 0.0


async def watch_tasks(
    session: Session, api: Api, query: Query, limit: int, output: Output
) -> ExitCode:
    """The tasks, then each that is new, different or gone, until interrupted."""
    printer = ListPrinter(TASKS, output, session)
    shown: dict[str, Task] | None = None
    subscription = SubscribeFrame(id=1, topics=["stats"])
    async with aclosing(frames_of(session, subscription, Patience())) as frames:
        async for frame in frames:
            if not isinstance(frame, SnapshotFrame | ChangeFrame) or frame.stats is None:
                continue
            found, _, now_s = await _read(api, query, limit)
            newest: dict[str, Task] = {task.id: task for task in found}
            if shown is None:
                printer.whole(found, now_s)
            else:
                for key, task in newest.items():
                    if key not in shown or shown[key].revision != task.revision:
                        printer.changed(task, now_s)
                for key in shown.keys() - newest.keys():
                    printer.removed(key)
            shown = newest
    return ExitCode.DONE
