"""Settings as a person reads them back: name, value and where it came from, secrets covered."""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from runwatch_shared.layers import SECRETS, Loaded, variables_of
from runwatch_shared.setting_files import nearest
from runwatch_shared.settings import ConsoleSettings, NodeSettings, ServerSettings, Settings
from runwatch_shared.text import clean

COVER: Final = "***"
URLS: Final = frozenset({"database", "webhook_url"})
"""Secrets of which the place is shown: what people look for when nothing arrives."""
KINDS: Final = (ServerSettings, NodeSettings, ConsoleSettings)
NO_SETTINGS: Final = frozenset({"RUNWATCH_CONFIG", "RUNWATCH_SYSTEM_CONFIG"})
OTHERS: Final = ("RUNWATCH_TEST_", "RUNWATCH_BENCH_")


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One setting."""

    name: str
    """Dotted: ``limits.page_rows``."""
    value: Any
    origin: str
    """A path, a variable, a flag, or ``default``."""

    @property
    def text(self) -> str:
        """Name and value on a line, the value as JSON and without what a terminal would obey."""
        return clean(f"{self.name} = {msgspec.json.encode(self.value).decode()}", fold=True)


def shown_settings(loaded: Loaded[Any]) -> list[Shown]:
    """Every setting, in the order of its declaration, tables by their settings."""
    values = msgspec.to_builtins(loaded.settings)
    return [
        Shown(name=name, value=_covered(name, value), origin=_origin(name, loaded.origins))
        for name, value in _flat(loaded.settings, values)
    ]


def setting_lines(loaded: Loaded[Any], *, origin: bool) -> list[str]:
    """A line a setting; with ``origin`` where its value came from, in a column of its own."""
    rows = shown_settings(loaded)
    if not origin:
        return [row.text for row in rows]
    width = min(48, max(len(row.text) for row in rows))
    return [f"{row.text:<{width}}  # {clean(row.origin, fold=True)}" for row in rows]


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """``RUNWATCH_…`` that no program of ours reads, each with the nearest that one does."""
    known = {
        variable
        for kind in KINDS
        for field in msgspec.structs.fields(kind)
        for each in variables_of(kind, field.encode_name)
        for variable in (each, f"{each}_FILE")
    } | NO_SETTINGS
    return [
        f"{clean(name, limit=80, fold=True)} is no setting{nearest(name, sorted(known))}"
        for name in sorted(environment)
        if name.startswith("RUNWATCH_") and name not in known and not name.startswith(OTHERS)
    ]


def _flat(settings: Settings, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(getattr(settings, name), msgspec.Struct):
            for inner, each in value.items():
                yield f"{name}.{inner}", each
        else:
            yield name, value


def _origin(name: str, origins: Mapping[str, str]) -> str:
    if name in origins:
        return origins[name]
    below = sorted({origin for key, origin in origins.items() if key.startswith(f"{name}.")})
    return ", ".join(below) or "default"


def _covered(name: str, value: Any) -> Any:
    if not value or name not in SECRETS | URLS:
        return value
    if name not in URLS:
        return COVER
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
        place = f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return COVER
    if name == "webhook_url":
        return f"{place}/{COVER}"  # chat tools put a password into the path
    if not host:
        return value.partition("?")[0] if parts.scheme == "sqlite" else COVER
    return f"{place}{parts.path}"
