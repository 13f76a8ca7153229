"""`:export`: the list that is shown, written to a file of the user's."""

import asyncio
import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from runwatch_console.exports import Format, export_text
from runwatch_console.messages import ExportRequested
from runwatch_console.screens.auth import AuthScreen
from runwatch_console.screens.base import ConsoleScreen
from runwatch_console.screens.nodes import NodesScreen
from runwatch_console.screens.run_list import RunListScreen
from runwatch_console.screens.tasks import TasksScreen
from runwatch_shared.text import clean

if TYPE_CHECKING:
    from runwatch_console.app import ConsoleApp

OWNERS_ALONE: Final = 0o600


def listed(screen: ConsoleScreen | None) -> tuple[str, list[msgspec.Struct]] | None:
    """What the list of a screen holds, in its order: the name of its kind, and its rows. None for a
    screen without a list.
    """
    match screen:
        case RunListScreen():
            source = screen.rows.source
            keys = [source.key_at(index) for index in range(len(source))]
            runs = [run for key in keys if (run := screen.run_of(key)) is not None]
            return "runs", list({run.id: run for run in runs}.values())
        case NodesScreen():
            nodes = screen.state.fleet.nodes
            return "nodes", [nodes[key] for key in screen.source.ids if key in nodes]
        case TasksScreen():
            return "tasks", list(screen.source.rows)
        case AuthScreen():
            return "auth", list(screen.source.rows)
        case _:
            return None


async def export_list(app: "ConsoleApp", request: ExportRequested) -> None:
    """Write the list that is shown, in a thread, and say where it went or why it did not."""
    if app.is_web:
        # The file would be the server's, not that of who sits at the browser.
        app.tell("export.in_browser", severity="warning")
        return
    found = listed(app.console_screen)
    if found is None:
        app.tell("export.no_list", severity="warning")
        return
    kind, rows = found
    path = _path(request.path, kind, request.form)
    shown = clean(str(path), limit=300, fold=True)
    try:
        await asyncio.to_thread(_write, rows, request.form, path, anew=request.anew)
    except FileExistsError:
        app.tell("export.exists", severity="warning", path=shown, form=request.form)
    except OSError as error:
        detail = clean(error.strerror or str(error), limit=200, fold=True)
        app.tell("export.failed", severity="error", path=shown, detail=detail)
    else:
        app.tell("export.written", n=f"{len(rows):,}", path=shown)


def _path(typed: str, kind: str, form: Format) -> Path:
    if typed:
        return Path(os.path.expanduser(typed)).absolute()
    moment = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    return Path(f"runwatch-{kind}-{moment}.{form}").absolute()


def _write(rows: list[msgspec.Struct], form: Format, path: Path, *, anew: bool) -> None:
    """A whole file of the owner's alone, or none.

    Raises:
        FileExistsError: It is there, and was not to be written anew.
        OSError: It cannot be written.
    """
    data = export_text(rows, form).encode("utf-8")
    if anew:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.")
    else:
        name = str(path)
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNERS_ALONE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if anew:
            os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
