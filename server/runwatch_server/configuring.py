"""``monitor-server config``: the settings as they are read, where each is from, what is wrong."""

import os
from typing import Annotated, Any

import msgspec
import typer

from runwatch_server.operating import Config, Database, DataDir, mend, reporting, say
from runwatch_server.setting_checks import findings_of
from runwatch_shared.layers import Loaded, load
from runwatch_shared.setting_lines import setting_lines, shown_settings, unknown_variables
from runwatch_shared.settings import ServerSettings

config_app = typer.Typer(no_args_is_help=True, help="The settings as they are read.")


@config_app.command()
def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each comes from.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say it as JSON.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Print every setting with its value; secrets are covered."""
    with reporting():
        loaded = _loaded(data_dir, database, config)
        if as_json:
            rows = {row.name: row for row in shown_settings(loaded)}
            say(msgspec.json.format(msgspec.json.encode(rows)).decode())
            return
        for line in setting_lines(loaded, origin=origin):
            say(line)


@config_app.command()
def check(data_dir: DataDir = None, database: Database = None, config: Config = None) -> None:
    """Say what is wrong with the settings and how to mend it; exit status 78 where something is.

    Nothing is opened or made; the database too is looked at by 'monitor-server check'.
    """
    with reporting():
        loaded = _loaded(data_dir, database, config)
        for line in unknown_variables(os.environ):
            typer.echo(f"monitor-server: {line}", err=True)
        mend(findings_of(loaded.settings))
        changed = [row for row in shown_settings(loaded) if row.origin != "default"]
        say(f"settings   ok, {len(changed)} of them not default")


def _loaded(data_dir: str | None, database: str | None, config: Any) -> Loaded[ServerSettings]:
    flags = {"data_dir": data_dir, "database": database}
    return load(ServerSettings, "server", config=config, flags=flags)
