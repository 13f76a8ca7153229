"""What the commands of ``nodemanager`` share: options, and what failed on a line of their own."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from runwatch_nodemanager.manager import NodeRefusedError
from runwatch_shared.errors import SettingsError
from runwatch_shared.text import clean

EXIT_REFUSED: Final = 3
EXIT_SETTINGS: Final = 2

Config = Annotated[
    Path | None, typer.Option("--config", envvar="RUNWATCH_CONFIG", help="TOML file, table [node].")
]
DataDir = Annotated[
    str | None,
    typer.Option("--data-dir", help="Where runs are kept; RUNWATCH_DATA_DIR."),
]


@contextlib.contextmanager
def told_on_stderr() -> Iterator[None]:
    """Errors on one line of standard error, with the exit status of their kind."""
    try:
        yield
    except SettingsError as error:
        typer.echo(f"nodemanager: {clean(str(error), fold=True)}", err=True)
        sys.exit(EXIT_SETTINGS)
    except NodeRefusedError as error:
        typer.echo(f"nodemanager: {clean(str(error), fold=True)}", err=True)
        sys.exit(EXIT_REFUSED)
