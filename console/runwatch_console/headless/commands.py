"""The commands without a screen and their arguments (Typer); their work is in other modules."""

from typing import Annotated

import typer

from runwatch_console.filters import parse_filter
from runwatch_console.headless.events import follow_events, print_events
from runwatch_console.headless.formats import Output
from runwatch_console.headless.launching import (
    FilterOption,
    LimitOption,
    OutputOption,
    RunId,
    WatchOption,
    app,
    filter_typed,
    refuse_json_stream,
    run_to_end,
    session_of,
)
from runwatch_console.headless.listings import NODES, RUNS
from runwatch_console.headless.lists import print_nodes, print_runs
from runwatch_console.headless.node_filter import parse_node_filter
from runwatch_console.headless.stats import print_stats, watch_stats
from runwatch_console.headless.tasks import cancel_run, new_task, start_run
from runwatch_console.headless.viewing import print_view, view_named
from runwatch_console.headless.waiting import wait_for_run
from runwatch_console.headless.watching import watch_list


@app.command()
def runs(
    ctx: typer.Context,
    output: OutputOption = Output.TABLE,
    watch: WatchOption = False,
    chosen: FilterOption = "",
    view: Annotated[str, typer.Option(metavar="NAME", help="As this saved view has it.")] = "",
    limit: LimitOption = 1000,
) -> None:
    """List the runs, those that need somebody first."""
    session = session_of(ctx)
    compiled = filter_typed(session.words, parse_filter, chosen)
    refuse_json_stream(session.words, output, endless=watch)
    if view:
        shown = view_named(session, view, compiled)
        if watch:
            run_to_end(session, lambda _: watch_list(session, shown.listing, shown.matches, output))
        run_to_end(session, lambda api: print_view(session, api, shown, limit, output))
    if watch:
        run_to_end(session, lambda _: watch_list(session, RUNS, compiled.matches, output))
    run_to_end(session, lambda api: print_runs(session, api, compiled, limit, output))


@app.command()
def nodes(
    ctx: typer.Context,
    output: OutputOption = Output.TABLE,
    watch: WatchOption = False,
    chosen: FilterOption = "",
) -> None:
    """List the nodes."""
    session = session_of(ctx)
    test = filter_typed(session.words, parse_node_filter, chosen)
    refuse_json_stream(session.words, output, endless=watch)
    if watch:
        run_to_end(
            session, lambda _: watch_list(session, NODES, lambda node, _: test(node), output)
        )
    run_to_end(session, lambda api: print_nodes(session, api, test, output))


@app.command()
def stats(
    ctx: typer.Context, output: OutputOption = Output.TABLE, watch: WatchOption = False
) -> None:
    """Print the fleet in numbers."""
    session = session_of(ctx)
    refuse_json_stream(session.words, output, endless=watch)
    if watch:
        run_to_end(session, lambda _: watch_stats(session, output))
    run_to_end(session, lambda api: print_stats(session, api, output))


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
    session = session_of(ctx)
    refuse_json_stream(session.words, output, endless=follow)
    printing = follow_events if follow else print_events
    run_to_end(session, lambda api: printing(session, api, run_id, from_seq, output))


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
    session = session_of(ctx)
    run_to_end(
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
    session = session_of(ctx)
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
    run_to_end(session, lambda api: start_run(session, api, task, output))


@app.command()
def cancel(
    ctx: typer.Context,
    run_id: RunId,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the run.")] = "",
) -> None:
    """Cancel a run."""
    session = session_of(ctx)
    run_to_end(session, lambda api: cancel_run(session, api, run_id, note))
