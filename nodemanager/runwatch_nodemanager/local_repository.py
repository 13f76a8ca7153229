"""Which folders git reads of a repository of this machine, wherever its files lead; judges none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

SUFFIXES: Final = ("/.git", "", ".git/.git", ".git")
"""What git tries behind the path it is given (its ``get_repo_path`` and ``enter_repo``)."""
FOLDERS: Final = ("objects", "objects/pack", "refs", "refs/heads")
GITFILE: Final = "gitdir:"
MAX_BORROWED: Final = 20
"""Repositories that others borrow objects from; git itself stops after five in a row."""


def folders_of(repository: Path) -> Iterator[Path]:
    """All that git may read objects and names from; none of them is resolved.

    Raises:
        OSError: One of its files cannot be read.
    """
    for suffix in SUFFIXES:
        place = Path(f"{repository}{suffix}")
        if place.is_file():
            told = _text(place).strip()
            place = place.parent / told.removeprefix(GITFILE).strip()
        if place.exists():
            yield place
            yield from _parts(place)


def _parts(place: Path) -> Iterator[Path]:
    shared = place / "commondir"
    for base in (place, *([place / _text(shared).strip()] if shared.is_file() else [])):
        yield base
        yield from (base / name for name in FOLDERS if (base / name).exists())
        yield from _borrowed(base / "objects")


def _borrowed(objects: Path) -> Iterator[Path]:
    waiting = [objects]
    for _ in range(MAX_BORROWED):
        if not waiting:
            return
        at = waiting.pop()
        listing = at / "info" / "alternates"
        if not listing.is_file():
            continue
        for line in _text(listing).splitlines():
            if line and not line.startswith("#"):
                waiting.append(at / line.strip('"'))
                yield waiting[-1]
    raise OSError(0, "it borrows from too many others")


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")
