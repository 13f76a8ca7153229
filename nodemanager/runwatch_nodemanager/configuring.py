"""``nodemanager config``: the settings as they are read, where each is from, what is wrong."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from runwatch_nodemanager.operating import EXIT_SETTINGS, Config, DataDir, told_on_stderr
from runwatch_nodemanager.setting_checks import findings_of
from runwatch_shared.layers import Loaded, load
from runwatch_shared.setting_lines import setting_lines, shown_settings, unknown_variables
from runwatch_shared.settings import NodeSettings
from runwatch_shared.text import clean

config_app = typer.Typer(no_args_is_help=True, help="The settings as they are read.")


@config_app.command()
def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each comes from.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say it as JSON.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Print every setting with its value; secrets are covered."""
    with told_on_stderr():
        loaded = _loaded(data_dir, config)
        if as_json:
            rows = {row.name: row for row in shown_settings(loaded)}
            typer.echo(msgspec.json.format(msgspec.json.encode(rows)).decode())
            return
        for line in setting_lines(loaded, origin=origin):
            typer.echo(line)


@config_app.command()
def check(data_dir: DataDir = None, config: Config = None) -> None:
    """Say what is wrong with the settings and how to mend it; exit status 2 where something is."""
    with told_on_stderr():
        loaded = _loaded(data_dir, config)
        findings = findings_of(loaded.settings)
        for line in (*unknown_variables(os.environ), *map(str, findings)):
            typer.echo(f"nodemanager: {clean(line, limit=2000, fold=True)}", err=True)
        if findings:
            raise typer.Exit(EXIT_SETTINGS)
        changed = [row for row in shown_settings(loaded) if row.origin != "default"]
        typer.echo(f"settings   ok, {len(changed)} of them not default")


def _loaded(data_dir: str | None, config: Path | None) -> Loaded[NodeSettings]:
    return load(NodeSettings, "node", config=config, flags={"data_dir": data_dir})
