"""`start` and `cancel`: a run made or stopped from the command line."""

from collections.abc import Sequence
from typing import Final

from runwatch_console.headless.exits import ExitCode, usage_error
from runwatch_console.headless.formats import Output, csv_text, json_text
from runwatch_console.headless.session import Session
from runwatch_console.locale.words import Words
from runwatch_console.ports import Api, NewTask
from runwatch_shared.models import Run
from runwatch_shared.text import clean

COMMAND: Final = "command"
_COMMAND_NAMES: Final = frozenset({COMMAND, "shell"})


def new_task(
    words: Words,
    *,
    name: str,
    agent: str,
    argv: Sequence[str],
    prompt: str,
    model: str,
    labels: Sequence[str],
    node: str,
    priority: int,
    timeout_s: int | None,
) -> NewTask:
    """What was typed, as a task.

    Raises:
        CommandError: It does not fit together.
    """
    agent = agent or (COMMAND if argv else "general")
    if agent in _COMMAND_NAMES and not argv:
        raise usage_error(words, "headless.command_missing")
    if agent not in _COMMAND_NAMES:
        if argv:
            raise usage_error(words, "headless.command_unused")
        if not prompt:
            raise usage_error(words, "headless.prompt_missing", agent=agent)
    pairs: dict[str, str] = {}
    for label in labels:
        key, equals, value = label.partition("=")
        if not equals or not key:
            raise usage_error(words, "headless.label", label=clean(label))
        pairs[key] = value
    return NewTask(
        name=name or clean(" ".join(argv) or prompt, limit=60, fold=True),
        agent_type=agent,
        prompt=prompt,
        argv=tuple(argv),
        model=model,
        labels=pairs,
        node_id=node,
        priority=priority,
        timeout_s=timeout_s,
    )


async def start_run(session: Session, api: Api, task: NewTask, output: Output) -> ExitCode:
    """Make a task and a run of it; as a table, the run's id alone, for `$(…)`."""
    made = await api.create_task(task)
    _print_run(session, await api.create_run(made.id), output)
    return ExitCode.DONE


def _print_run(session: Session, run: Run, output: Output) -> None:
    match output:
        case Output.TABLE:
            session.printer.write(f"{clean(run.id)}\n")
        case Output.JSON:
            session.printer.write(f"{json_text(run, indent=2)}\n")
        case Output.NDJSON:
            session.printer.write(f"{json_text(run)}\n")
        case Output.CSV:
            rows = [("id", "task_id", "status"), (run.id, run.task_id, run.status)]
            session.printer.write(csv_text(rows))


async def cancel_run(session: Session, api: Api, run_id: str, note: str) -> ExitCode:
    """Ask for a run's end; says what its status is now."""
    answer = await api.cancel_run(run_id, note)
    word_id = "headless.cancelling" if answer.cancelling else "headless.wait_done"
    facts = {"id": clean(answer.run.id), "status": clean(answer.status)}
    session.printer.write(f"{session.words(word_id, **facts)}\n")
    return ExitCode.DONE
