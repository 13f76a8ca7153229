"""Where the user's settings file is, from flags and environment."""

from collections.abc import Mapping
from pathlib import Path

from runwatch_console.flags import CONFIG
from runwatch_shared.places import default_config


def named_config(typed: Mapping[str, str | bool], environment: Mapping[str, str]) -> Path | None:
    """The file that `--config` or `RUNWATCH_CONFIG` name; None for the default one."""
    named = str(typed.get(CONFIG) or environment.get("RUNWATCH_CONFIG", ""))
    return Path(named).expanduser() if named else None


def settings_path(typed: Mapping[str, str | bool], environment: Mapping[str, str]) -> Path:
    """The settings file, which need not be there."""
    return named_config(typed, environment) or default_config(environment)
