"""Changes to the user's settings file that leave everything else in it as it was: comments, order,
other tables, its mode. Reading settings is `runwatch_shared.settings`.
"""

import fcntl
import os
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import SavedView

TABLE: Final = "console"
VIEWS: Final = "views"
LOCK_S: Final = 5.0
LOCK_LOOK_S: Final = 0.02

Table = MutableMapping[str, Any]


class SettingsFile:
    """The file at a path, which need not be there yet. Every call reads it anew, under a lock, and
    replaces it at once: what another console has kept meanwhile stays.

    Raises:
        SettingsError: From every method: the file cannot be read, is not TOML, cannot be written,
            or could not be changed there alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def save_view(self, name: str, saved: SavedView) -> None:
        """Keep a view under a name; what had the name is replaced."""
        chosen = msgspec.to_builtins(saved)
        defaults = msgspec.to_builtins(SavedView())
        kept = {key: value for key, value in chosen.items() if value != defaults[key]}

        def change(document: Table, new_table: Callable[[Table], Table]) -> None:
            section = _table_in(document, TABLE, new_table)
            views = _table_in(section, VIEWS, new_table)
            entry = new_table(views)
            entry.update(kept)
            views[name] = entry

        self._change(change)

    def delete_view(self, name: str) -> None:
        """Keep a view no longer; none of the name is no error."""

        def change(document: Table, new_table: Callable[[Table], Table]) -> None:
            document.get(TABLE, {}).get(VIEWS, {}).pop(name, None)

        self._change(change)

    def _change(self, change: Callable[[Table, Callable[[Table], Table]], None]) -> None:
        # A link stays a link: people keep such files elsewhere.
        path = Path(os.path.realpath(self.path))
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _alone(path.parent):
                text = path.read_bytes().decode("utf-8") if path.exists() else ""
                _replace(path, self._changed(text, change))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise SettingsError(f"cannot write {self.path}: {reason}") from error

    def _changed(self, text: str, change: Callable[[Table, Callable[[Table], Table]], None]) -> str:
        try:
            wanted: dict[str, Any] = tomllib.loads(text)
            change(wanted, lambda _: {})
            document = tomlkit.parse(text)
            change(document, _new_item)
            changed = tomlkit.dumps(document)
            exact = _without_empty(tomllib.loads(changed)) == _without_empty(wanted)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{self.path} is not TOML: {error}") from error
        except (TOMLKitError, AttributeError, TypeError, KeyError, ValueError) as error:
            raise SettingsError(f"{self.path} is written so that it must be edited by hand") from (
                error
            )
        if not exact:
            raise SettingsError(f"{self.path} is written so that it must be edited by hand")
        return changed


def _table_in(parent: Table, name: str, new_table: Callable[[Table], Table]) -> Table:
    if name not in parent:
        parent[name] = new_table(parent)
    found: Table = parent[name]
    return found


def _new_item(parent: Table) -> Table:
    inline = isinstance(parent, InlineTable)
    return tomlkit.inline_table() if inline else tomlkit.table()


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    """The document without our tables where nothing is in them: a last view takes them along."""
    section = dict(document.get(TABLE, {}))
    views = section.pop(VIEWS, {})
    section |= {VIEWS: views} if views else {}
    others = {name: value for name, value in document.items() if name != TABLE}
    return others | ({TABLE: section} if section else {})


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The folder's lock; it ends with the process, whatever happens to that.

    Raises:
        BlockingIOError: Another process has held it for too long.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    deadline = time.monotonic() + LOCK_S
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(LOCK_LOOK_S)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    """Put a whole new file in place of the old one, with the old one's mode, else 0600."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            if path.exists():
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
