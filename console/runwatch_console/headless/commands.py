"""The commands without a screen and their arguments (Typer); their work is in other modules."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, NoReturn

import typer

from runwatch_console.filters import FilterError, filter_problem, parse_filter
from runwatch_console.headless.events import follow_events, print_events
from runwatch_console.headless.exits import CommandError, ExitCode, api_error, usage_error
from runwatch_console.headless.formats import Output
from runwatch_console.headless.listings import NODES, RUNS
from runwatch_console.headless.lists import print_nodes, print_runs
from runwatch_console.headless.node_filter import parse_node_filter
from runwatch_console.headless.session import ClosableApi, Session
from runwatch_console.headless.stats import print_stats, watch_stats
from runwatch_console.headless.tasks import cancel_run, new_task, start_run
from runwatch_console.headless.waiting import wait_for_run
from runwatch_console.headless.watching import watch_list
from runwatch_console.locale.words import Words
from runwatch_console.ports import ApiError

app = typer.Typer(
    name="monitor-tui",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunId = Annotated[str, typer.Argument(metavar="ID", help="Id of the run.")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print.")]
WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Go on and print what changes.")]
FilterOption = Annotated[
    str,
    typer.Option("--filter", "-f", metavar="FILTER", help="Only what matches, as in the console."),
]


@app.command()
def runs(
    ctx: typer.Context,
    output: OutputOption = Output.TABLE,
    watch: WatchOption = False,
    chosen: FilterOption = "",
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Print at most so many.")] = 1000,
) -> None:
    """List the runs, those that need somebody first."""
    session = _session(ctx)
    try:
        compiled = parse_filter(chosen)
    except FilterError as error:
        raise _bad_filter(session.words, error) from error
    _refuse_json_stream(session.words, output, watch)
    if watch:
        _run(session, lambda _: watch_list(session, RUNS, compiled.matches, output))
    _run(session, lambda api: print_runs(session, api, compiled, limit, output))


@app.command()
def nodes(
    ctx: typer.Context,
    output: OutputOption = Output.TABLE,
    watch: WatchOption = False,
    chosen: FilterOption = "",
) -> None:
    """List the nodes."""
    session = _session(ctx)
    try:
        test = parse_node_filter(chosen)
    except FilterError as error:
        raise _bad_filter(session.words, error) from error
    _refuse_json_stream(session.words, output, watch)
    if watch:
        _run(session, lambda _: watch_list(session, NODES, lambda node, _: test(node), output))
    _run(session, lambda api: print_nodes(session, api, test, output))


@app.command()
def stats(
    ctx: typer.Context, output: OutputOption = Output.TABLE, watch: WatchOption = False
) -> None:
    """Print the fleet in numbers."""
    session = _session(ctx)
    _refuse_json_stream(session.words, output, watch)
    if watch:
        _run(session, lambda _: watch_stats(session, output))
    _run(session, lambda api: print_stats(session, api, output))


@app.command()
def run(
    ctx: typer.Context,
    run_id: RunId,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the run ends.")] = False,
    from_seq: Annotated[
        int, typer.Option("--from-seq", min=0, metavar="N", help="Only events after this number.")
    ] = 0,
    output: OutputOption = Output.TABLE,
) -> None:
    """Print the events of a run."""
    session = _session(ctx)
    _refuse_json_stream(session.words, output, follow)
    printing = follow_events if follow else print_events
    _run(session, lambda api: printing(session, api, run_id, from_seq, output))


@app.command()
def wait(
    ctx: typer.Context,
    run_id: RunId,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Give up after that (exit 124).")
    ] = None,
    patience: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="How long the server may be away (exit 5)."),
    ] = 60.0,
    through_waits: Annotated[
        bool, typer.Option("--through-waits", help="Go on while the run waits for a human.")
    ] = False,
) -> None:
    """Wait until a run ends.

    Exit code: 0 done, 1 failed, 2 usage, 3 waiting for a human, 4 auth, 5 unreachable, 124 timeout.
    """
    session = _session(ctx)
    _run(
        session,
        lambda api: wait_for_run(
            session,
            api,
            run_id,
            timeout_s=timeout,
            patience_s=patience,
            through_waits=through_waits,
        ),
    )


@app.command()
def start(
    ctx: typer.Context,
    argv: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND…]", help="What to run.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the task.")] = "",
    agent: Annotated[str, typer.Option(metavar="TYPE", help="Agent type.")] = "",
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="What the agent is to do.")] = "",
    model: Annotated[str, typer.Option(help="Model of the agent.")] = "",
    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A label.")] = None,
    node: Annotated[str, typer.Option(metavar="ID", help="Run on this node only.")] = "",
    priority: Annotated[int, typer.Option(min=-100, max=100, help="Higher is earlier.")] = 0,
    timeout: Annotated[
        int | None, typer.Option(min=1, metavar="SECONDS", help="Time limit of the run.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Start a run and print its id."""
    session = _session(ctx)
    task = new_task(
        session.words,
        name=name,
        agent=agent,
        argv=argv or (),
        prompt=prompt,
        model=model,
        labels=label or (),
        node=node,
        priority=priority,
        timeout_s=timeout,
    )
    _run(session, lambda api: start_run(session, api, task, output))


@app.command()
def cancel(
    ctx: typer.Context,
    run_id: RunId,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the run.")] = "",
) -> None:
    """Cancel a run."""
    session = _session(ctx)
    _run(session, lambda api: cancel_run(session, api, run_id, note))


def _refuse_json_stream(words: Words, output: Output, endless: bool) -> None:
    if endless and output is Output.JSON:
        raise usage_error(words, "headless.json_watch")


def _bad_filter(words: Words, error: FilterError) -> CommandError:
    return usage_error(words, "headless.filter", problem=filter_problem(error, words))


def _session(ctx: typer.Context) -> Session:
    """The command begins here: before, for help and usage errors, no settings are read."""
    open_session: Callable[[], Session] = ctx.obj
    return open_session()


def _run(session: Session, work: Callable[[ClosableApi], Awaitable[ExitCode]]) -> NoReturn:
    """Run one command to its end and leave with its code.

    Raises:
        CommandError: It did not succeed.
    """

    async def with_api() -> ExitCode:
        api = session.network.api()
        try:
            return await work(api)
        finally:
            await api.aclose()

    try:
        code = asyncio.run(with_api())
    except ApiError as error:
        raise api_error(error, session.words, session.target) from error
    except BrokenPipeError:
        code = ExitCode.PIPE_CLOSED
    raise typer.Exit(code)
