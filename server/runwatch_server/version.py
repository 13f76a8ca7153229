"""The version of this distribution, read once."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _installed() -> str:
    try:
        return version("runwatch")
    except PackageNotFoundError:
        return "0"


VERSION: Final = _installed()
