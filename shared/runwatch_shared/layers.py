"""Where settings come from: layers, laid over each other into one struct that knows its origins.

From below: defaults, ``/etc/runwatch``, the user's file, ``runwatch.d/*.toml`` of both, credentials
of systemd, environment, flags (reliability 4). What can be set is in `settings`.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, get_origin

import msgspec

from runwatch_shared.errors import SettingsError
from runwatch_shared.places import (
    DROP_INS,
    config_in,
    default_config,
    default_data_dir,
    system_config_dir,
)
from runwatch_shared.setting_files import (
    misfit,
    nearest,
    read_table,
    refuse_unknown,
    struct_of,
    tables_in,
)
from runwatch_shared.settings import NodeSettings, Settings

T = TypeVar("T", bound=Settings)

LEGACY_ENVIRONMENT: Final[dict[str, tuple[str, ...]]] = {
    "database": ("RUNWATCH_DATABASE_URL",),
    "node_token": ("NODE_TOKEN",),
    "token": ("RUNWATCH_NODE_TOKEN", "NODE_TOKEN"),
    "jwt_secret": ("JWT_SECRET",),
    "admin_email": ("ADMIN_EMAIL",),
    "admin_password": ("ADMIN_PASSWORD",),
}
"""Further variables read for a setting, after its own. ``token`` reads the node's only for
``NodeSettings``.
"""
SECRETS: Final = frozenset(
    {"admin_password", "database", "jwt_secret", "node_token", "token", "webhook_secret"}
)
"""Settings that systemd may hand over as credentials, and that are never shown."""
CREDENTIAL: Final = "runwatch."
"""What names of credentials begin with, before the setting's."""
MOST_SECRET_BYTES: Final = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What one source says."""

    origin: str
    """As a person would look it up: a path, a variable, a flag."""
    values: Mapping[str, Any]
    whole: bool = False
    """Its maps take the place of others; else they are laid over them key by key."""


@dataclass(frozen=True, kw_only=True)
class Loaded(Generic[T]):
    """Settings, and where each that is no default came from."""

    settings: T
    origins: Mapping[str, str]
    """By dotted name: ``limits.page_rows``."""


def load_settings(
    kind: type[T],
    table: str,
    *,
    config: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] | None = None,
) -> T:
    """One frozen struct of ``kind``; see `load`."""
    return load(kind, table, config=config, environment=environment, flags=flags).settings


def load(
    kind: type[T],
    table: str,
    *,
    config: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] | None = None,
) -> Loaded[T]:
    """Settings of ``kind`` out of all layers. Tables are laid over each other key by key, lists are
    taken whole.

    Args:
        config: A TOML file in place of those of system and user (else ``RUNWATCH_CONFIG``); the
            ``runwatch.d`` beside it counts too.
        flags: What the user typed; ``None`` values are taken as not typed.

    Raises:
        SettingsError: A file cannot be read, a key is unknown (the nearest known one is named) or a
            value does not fit.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers_of(kind, table, config=config, environment=environment, flags=flags):
        lay(values, origins, layer, kind)
    if not values.get("data_dir"):
        values["data_dir"] = str(default_data_dir(environment))
        origins.pop("data_dir", None)
    else:
        values["data_dir"] = str(Path(str(values["data_dir"])).expanduser().absolute())
    try:
        settings = msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"[{table}] {misfit(error, kind)}") from error
    return Loaded(settings=settings, origins=origins)


def layers_of(
    kind: type[Settings],
    table: str,
    *,
    config: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, Any] | None,
) -> Iterator[Layer]:
    """Every layer above the defaults, the lowest first. Raises: as `load`."""
    named = config or _named(environment)
    try:
        files = files_of(named, environment, may_skip=table == "console")
    except PermissionError as error:
        raise SettingsError(f"cannot read {error.filename}: {error.strerror}") from error
    for path in files:
        yield Layer(origin=str(path), values=read_table(kind, table, path))
    yield from _credentials(kind, environment)
    yield from _variables(kind, environment)
    for name, value in (flags or {}).items():
        if value is not None:
            yield Layer(origin=f"--{name.replace('_', '-')}", values={name: value}, whole=True)


def files_of(
    named: Path | None, environment: Mapping[str, str], *, may_skip: bool = False
) -> list[Path]:
    """The files that are read, the lowest first.

    Args:
        may_skip: Leaves out what is the system's and not for this user's eyes: a console's user
            has no business with a server's settings.
    """
    if named is not None:
        return [named, *_drop_ins(named.absolute().parent)]
    system, own = system_config_dir(environment), default_config(environment)
    files, drop_ins = [], []
    try:
        files += [path for path in (config_in(system),) if path.exists()]
        drop_ins += _drop_ins(system)
    except PermissionError as error:
        if not may_skip:
            raise SettingsError(f"cannot read {system}: {error.strerror}") from error
    if may_skip:
        files = [path for path in files if os.access(path, os.R_OK)]
        drop_ins = [path for path in drop_ins if os.access(path, os.R_OK)]
    files += [own] if own.exists() else []
    return [*files, *drop_ins, *_drop_ins(own.parent)]


def lay(
    values: dict[str, Any], origins: dict[str, str], layer: Layer, kind: Any, place: str = ""
) -> None:
    """Lay a layer over ``values``, and say where what is new came from."""
    fields = {} if struct_of(kind) is None else _types_of(kind)
    for name, value in layer.values.items():
        dotted, inner = f"{place}{name}", fields.get(name)
        if isinstance(value, Mapping) and not (layer.whole and struct_of(inner) is None):
            below = values.get(name)
            under: dict[str, Any] = dict(below) if isinstance(below, dict) else {}
            values[name] = under
            origins.pop(dotted, None)
            lay(under, origins, replace(layer, values=value), inner, f"{dotted}.")
        else:
            values[name] = value
            for other in [each for each in origins if each.startswith(f"{dotted}.")]:
                del origins[other]
            origins[dotted] = layer.origin


def _types_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}


def _named(environment: Mapping[str, str]) -> Path | None:
    text = environment.get("RUNWATCH_CONFIG")
    return Path(text).expanduser() if text else None


def _drop_ins(directory: Path) -> list[Path]:
    folder = directory / DROP_INS
    return sorted(folder.glob("*.toml")) if folder.is_dir() else []


def _credentials(kind: type[Settings], environment: Mapping[str, str]) -> Iterator[Layer]:
    """What systemd hands over (``LoadCredential=runwatch.jwt_secret:…``)."""
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return
    types = _types_of(kind)
    known = sorted(SECRETS & set(types))
    for path in sorted(Path(folder).glob(f"{CREDENTIAL}*")):
        name = path.name.removeprefix(CREDENTIAL)
        if name not in known:
            hint = nearest(name, known) or f"; there are {', '.join(known)}"
            raise SettingsError(f"{CREDENTIAL}{name} is no credential{hint}")
        if text := _content(path, f"the credential {path.name}"):
            yield Layer(origin=f"credential {path.name}", values={name: text})


def _variables(kind: type[Settings], environment: Mapping[str, str]) -> Iterator[Layer]:
    """For each setting the first variable that has something: its own, then those of old."""
    types = _types_of(kind)
    for name, wanted in types.items():
        for variable in variables_of(kind, name):
            file = f"{variable}_FILE"
            # RUNWATCH_TOKEN_FILE is a setting itself, which says where the token is.
            named = "" if f"{name}_file" in types else environment.get(file, "")
            text = environment.get(variable, "")
            if text and named:
                raise SettingsError(f"{variable} and {file} are both set; keep one")
            origin = file if named else variable
            if named:
                text = _content(Path(named), file)
            if text:
                value = _from_text(wanted, text, origin)
                yield Layer(origin=origin, values={name: value}, whole=True)
                break


def variables_of(kind: type[Settings], name: str) -> tuple[str, ...]:
    """The variables of a setting, the first that is set counts; each with ``_FILE`` too."""
    if name == "token" and kind is not NodeSettings:
        return ("RUNWATCH_TOKEN",)
    return (f"RUNWATCH_{name.upper()}", *LEGACY_ENVIRONMENT.get(name, ()))


def _content(path: Path, what: str) -> str:
    """A file's text without the line end that editors leave."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_SECRET_BYTES + 1).decode()
    except OSError as error:
        raise SettingsError(f"{what}: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{what}: {path} is not text") from error
    if len(text) > MOST_SECRET_BYTES:
        raise SettingsError(f"{what}: {path} is longer than {MOST_SECRET_BYTES} bytes")
    return text.rstrip("\r\n")


def _from_text(kind: Any, text: str, variable: str) -> Any:
    """A value as it is written in the environment: lists by commas, maps of texts as ``a=b,c=d``,
    everything else that has parts as JSON.
    """
    if kind is str:
        return text
    if kind == list[str]:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind == dict[str, str]:
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        return {key.strip(): value.strip() for key, _, value in pairs}
    if kind is bool:
        lowered = text.strip().lower()
        if lowered in {"1", "true", "yes", "on"}:
            return True
        if lowered in {"0", "false", "no", "off"}:
            return False
        raise SettingsError(f"{variable} must be true or false, not {text!r}")
    if get_origin(kind) is dict or struct_of(kind) is not None:
        return _from_json(kind, text, variable)
    return text


def _from_json(kind: Any, text: str, variable: str) -> Any:
    """A JSON object that fits, as it was written: without the defaults of what it leaves out."""
    try:
        msgspec.json.decode(text, type=kind)
        value = msgspec.json.decode(text)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise SettingsError(f"{variable} must be a JSON object: {misfit(error)}") from error
    for place, inner, table in tables_in(variable, kind, value):
        refuse_unknown(inner, table, f"[{place}")
    return value
