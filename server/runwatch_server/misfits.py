"""What a decoder says of a body, as the refusal of contract 1.2: a code and the dotted ``field``.

No library text gets out but the name of what was expected.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, get_args

import msgspec

from runwatch_server.checks import entry
from runwatch_shared.errors import RefusedError

_PLACE: Final = re.compile(r" - at `(?:key in )?\$?([^`]*)`$")
_MISSING: Final = re.compile(r"Object missing required field `([^`]+)`")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_ANY_KEY: Final = "[...]"
"""How msgspec names an entry of a map; it leaves the key out."""


def of_decoding(
    error: msgspec.DecodeError | RecursionError, kind: Any, body: bytes
) -> RefusedError:
    """400 for a body that is no JSON, or does not fit the record ``kind``."""
    if not isinstance(error, msgspec.ValidationError):
        return RefusedError("invalid_json", "the body is not valid JSON")
    text = str(error)
    field = _field_of(text, kind, body)
    if missing := _MISSING.match(text):
        name = f"{field}.{missing[1]}" if field else missing[1]
        return RefusedError("missing_field", f"{name} is required", field=name)
    if text.startswith("Invalid enum value"):
        allowed = allowed_at(kind, field) if field else ()
        details = {"allowed": list(allowed)} if allowed else None
        return RefusedError(
            "invalid_value", f"{field} has an unknown value", field=field or None, details=details
        )
    expected = text.partition(", got")[0].partition(" - at")[0].replace("`", "")
    expected = expected[:1].lower() + expected[1:]
    if not field:
        return RefusedError("invalid_field", f"the body does not fit: {expected}")
    return RefusedError("invalid_field", f"{field} does not fit: {expected}", field=field)


@lru_cache(maxsize=256)
def allowed_at(kind: Any, field: str) -> tuple[str, ...]:
    """The values a record's field may have, where it is an enum; the field as a dotted path."""
    found = _kinds_at(kind, f".{field}")
    values = [value for inner in found for value in _literals(inner)]
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str)))


def _field_of(text: str, kind: Any, body: bytes) -> str:
    """``$.events[3].seq`` as ``events[3].seq``."""
    path = _path_of(text)
    if _ANY_KEY in path:
        path = _with_keys(path, kind, msgspec.json.decode(body))
    return path.lstrip(".")


def _path_of(text: str) -> str:
    place = _PLACE.search(text)
    return "" if place is None else place[1]


def _with_keys(path: str, kind: Any, value: Any) -> str:
    """The path with the key of the first entry that does not fit, found by trying each."""
    before, _, _ = path.partition(_ANY_KEY)
    entries = _at(value, before)
    for entry_kind in {inner for outer in _kinds_at(kind, before) for inner in _values_of(outer)}:
        for key, item in entries.items() if isinstance(entries, dict) else ():
            try:
                msgspec.convert(item, entry_kind)
            except msgspec.ValidationError as error:
                rest = _path_of(str(error))
                if _ANY_KEY in rest:
                    rest = _with_keys(rest, entry_kind, item)
                return entry(before, key) + rest
    return path.replace(_ANY_KEY, "")


def _at(value: Any, path: str) -> Any:
    for name, index in _STEP.findall(path):
        value = value[name] if name else value[int(index)]
    return value


def _kinds_at(kind: Any, path: str) -> set[Any]:
    """The types that may stand at a path of a type."""
    found: set[Any] = {kind}
    for name, index in _STEP.findall(path):
        found = {inner for outer in found for inner in _inside(outer, name, index)}
    return found


def _values_of(kind: Any) -> Iterator[Any]:
    for member in _members(kind):
        if getattr(member, "__origin__", None) is dict:
            yield get_args(member)[-1]


def _inside(kind: Any, name: str, index: str) -> Iterator[Any]:
    """The types a step of a path may lead to."""
    for member in _members(kind):
        if name and isinstance(member, type) and issubclass(member, msgspec.Struct):
            for field in msgspec.structs.fields(member):
                if field.encode_name == name:
                    yield field.type
        elif index and get_args(member):
            yield get_args(member)[-1]
        elif name:
            yield from _values_of(member)


def _members(kind: Any) -> Iterator[Any]:
    arguments = get_args(kind)
    if (arguments and not hasattr(kind, "__origin__")) or (
        arguments and "Union" in str(getattr(kind, "__origin__", ""))
    ):
        for argument in arguments:
            yield from _members(argument)
    else:
        yield kind


def _literals(kind: Any) -> Iterator[Any]:
    for member in _members(kind):
        if "Literal" in str(getattr(member, "__origin__", "")):
            yield from get_args(member)
