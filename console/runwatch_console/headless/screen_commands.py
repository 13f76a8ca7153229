"""The screens Attention, Auth and Tasks as commands (Typer)."""

from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from runwatch_console.authrows import AuthRow
from runwatch_console.filters import parse_filter
from runwatch_console.headless.exits import usage_error
from runwatch_console.headless.fleet_listings import ATTENTION, AUTH, AttentionLine
from runwatch_console.headless.fleet_lists import print_fleet_list
from runwatch_console.headless.formats import Output
from runwatch_console.headless.launching import (
    FilterOption,
    LimitOption,
    OutputOption,
    WatchOption,
    app,
    filter_typed,
    refuse_json_stream,
    run_to_end,
    session_of,
)
from runwatch_console.headless.login_addresses import address_text
from runwatch_console.headless.task_lists import print_tasks, watch_tasks
from runwatch_console.taskfilter import parse_task_filter


@app.command()
def attention(
    ctx: typer.Context,
    output: OutputOption = Output.TABLE,
    watch: WatchOption = False,
    chosen: FilterOption = "",
) -> None:
    """List what needs somebody, what is unhealthy and what is short of room."""
    session = session_of(ctx)
    compiled = filter_typed(session.words, parse_filter, chosen)
    refuse_json_stream(session.words, output, endless=watch)

    def matches(line: AttentionLine) -> bool:
        # Nodes and the queue are no runs: a filter of runs leaves them out.
        if line.run is None:
            return not compiled
        return compiled.matches(line.run, line.now_s)

    run_to_end(
        session, lambda _: print_fleet_list(session, ATTENTION, matches, output, watch=watch)
    )


@app.command()
def auth(
    ctx: typer.Context,
    output: OutputOption = Output.TABLE,
    watch: WatchOption = False,
    chosen: FilterOption = "",
    qr: Annotated[bool, typer.Option("--qr", help="Draw addresses as QR codes too.")] = False,
) -> None:
    """List the logins of agents: those under way, and those that nodes have."""
    session = session_of(ctx)
    if qr and output is not Output.TABLE:
        raise usage_error(session.words, "headless.qr_table")
    listing = replace(AUTH, below=partial(address_text, qr=qr))
    refuse_json_stream(session.words, output, endless=watch)
    words = chosen.casefold().split()

    def matches(row: AuthRow) -> bool:
        said = f"{row.account} {row.agent} {row.node} {row.state}".casefold()
        return all(word in said for word in words)

    run_to_end(session, lambda _: print_fleet_list(session, listing, matches, output, watch=watch))


@app.command()
def tasks(
    ctx: typer.Context,
    output: OutputOption = Output.TABLE,
    watch: WatchOption = False,
    chosen: FilterOption = "",
    limit: LimitOption = 1000,
) -> None:
    """List the tasks, newest first."""
    session = session_of(ctx)
    query = filter_typed(session.words, parse_task_filter, chosen)
    refuse_json_stream(session.words, output, endless=watch)
    printing = watch_tasks if watch else print_tasks
    run_to_end(session, lambda api: printing(session, api, query, limit, output))
