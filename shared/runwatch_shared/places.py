"""Where settings and data lie when nobody says otherwise; nothing is read or made here."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

CONFIG_NAMES: Final = ("config.toml", "runwatch.toml")
"""In a configuration directory; the first that is there counts alone."""
DROP_INS: Final = "runwatch.d"
"""Beside them: a folder whose ``*.toml`` are laid over the files, in the order of their names."""


def default_data_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """``$RUNWATCH_DATA_DIR``, else ``$XDG_DATA_HOME/runwatch``, else that in ``~/.local/share``."""
    own = environment.get("RUNWATCH_DATA_DIR")
    if own:
        return Path(own).expanduser().absolute()
    base = environment.get("XDG_DATA_HOME")
    home = Path(base) if base and Path(base).is_absolute() else Path("~/.local/share").expanduser()
    return home / "runwatch"


def default_config_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """``$XDG_CONFIG_HOME/runwatch``, else that in ``~/.config``."""
    base = environment.get("XDG_CONFIG_HOME")
    home = Path(base) if base and Path(base).is_absolute() else Path("~/.config").expanduser()
    return home / "runwatch"


def system_config_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """``/etc/runwatch``, or what ``$RUNWATCH_SYSTEM_CONFIG`` names."""
    return Path(environment.get("RUNWATCH_SYSTEM_CONFIG") or "/etc/runwatch")


def default_config(environment: Mapping[str, str] = os.environ) -> Path:
    """The user's file: the first of ``CONFIG_NAMES`` that is there, else where it would be."""
    return config_in(default_config_dir(environment))


def config_in(directory: Path) -> Path:
    """The first of ``CONFIG_NAMES`` that is in a directory, else where it would be."""
    paths = [directory / name for name in CONFIG_NAMES]
    return next((path for path in paths if path.exists()), paths[0])
