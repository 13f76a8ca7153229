"""One TOML file of settings: a tier's table out of it, its keys known, what is wrong in words."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import Settings

TABLES: Final = ("server", "node", "console")


def read_table(kind: type[Settings], table: str, path: Path) -> dict[str, Any]:
    """A tier's table of a file, empty where it has none.

    Raises:
        SettingsError: The file cannot be read, is no TOML, or has a name that nobody knows.
    """
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    for name in document:
        if name not in TABLES:
            raise SettingsError(f"{path} has no table [{name}]{nearest(name, TABLES)}")
    section = document.get(table, {})
    if not isinstance(section, dict):
        raise SettingsError(f"{path}: [{table}] must be a table")
    refuse_unknown(kind, section, f"{path}: [{table}")
    return section


def refuse_unknown(kind: type[msgspec.Struct], section: Mapping[str, Any], where: str) -> None:
    """Raises SettingsError for the first key that is none, with the nearest that is."""
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    for name, value in section.items():
        if name not in fields:
            raise SettingsError(f"{where}] has no setting {name}{nearest(name, fields)}")
        for place, inner, table in tables_in(name, fields[name], value):
            refuse_unknown(inner, table, f"{where}.{place}")


def misfit(error: msgspec.DecodeError, kind: type[msgspec.Struct] | None = None) -> str:
    """What a decoder says, as ``limits.page_rows does not fit: expected int``."""
    if not isinstance(error, msgspec.ValidationError):
        return "it is not JSON"
    what, _, place = str(error).replace("`", "").partition(" - at $")
    expected = what.partition(", got")[0]
    name = place.lstrip(".") or "the value"
    for field in () if kind is None else msgspec.structs.fields(kind):
        if field.encode_name == name and get_origin(field.type) is Literal:
            return f"{name} does not fit: one of {', '.join(filter(None, get_args(field.type)))}"
    return f"{name} does not fit: {expected[:1].lower()}{expected[1:]}"


def struct_of(kind: Any) -> type[msgspec.Struct] | None:
    """The type itself where it is a table whose settings are known."""
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that asks whether another name was meant; empty where none is near."""
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def tables_in(
    name: str, kind: Any, value: Any
) -> Iterator[tuple[str, type[msgspec.Struct], Mapping[str, Any]]]:
    """The tables within a value whose settings are known: its place, what it is, and the table."""
    if not isinstance(value, dict):
        return
    struct = struct_of(kind)
    if struct is not None:
        yield name, struct, value
    elif get_origin(kind) is dict:
        inner = get_args(kind)[1]
        for key, table in value.items():
            yield from tables_in(f"{name}.{key}", inner, table)
