"""The commands that look into runs: `explain`, `diff` (Typer)."""

from http import HTTPStatus
from typing import Annotated

import typer

from runwatch_console.headless.diffing import diff_runs
from runwatch_console.headless.exits import ExitCode
from runwatch_console.headless.explaining import explain_run
from runwatch_console.headless.explaining_nodes import explain_node
from runwatch_console.headless.formats import Output
from runwatch_console.headless.launching import OutputOption, RunId, app, run_to_end, session_of
from runwatch_console.ports import Api, ApiError


@app.command()
def explain(ctx: typer.Context, run_id: RunId, output: OutputOption = Output.TABLE) -> None:
    """Say why a run is queued, waiting, unhealthy or failed, or what a node was given and runs."""
    session = session_of(ctx)

    async def run_or_node(api: Api) -> ExitCode:
        try:
            return await explain_run(session, api, run_id, output)
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            try:
                return await explain_node(session, api, run_id, output)
            except ApiError:
                raise error from None

    run_to_end(session, run_or_node)


@app.command()
def diff(
    ctx: typer.Context,
    left: RunId,
    right: Annotated[str, typer.Argument(metavar="ID", help="Id of the other run.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Compare two runs step by step."""
    session = session_of(ctx)
    run_to_end(session, lambda api: diff_runs(session, api, left, right, output))
