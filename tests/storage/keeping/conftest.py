"""A full store of each kind, and empty ones to move it to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.storage.keeping.fleet import KeptFleet

KINDS = ("sqlite", "postgres", "mongo")
MOVES = (
    ("sqlite", "postgres"),
    ("postgres", "mongo"),
    ("mongo", "sqlite"),
    ("sqlite", "sqlite"),
    ("postgres", "postgres"),
    ("mongo", "mongo"),
)
"""From each kind, to each kind."""
FULL = 99
LARGE = 300
"""Messages of a run, so that its events are in several blocks."""
Empty = Callable[[str], str]


@pytest.fixture
def empty(tmp_path: Path, request: pytest.FixtureRequest) -> Empty:
    """Makes the URL of a store of a kind that has nothing yet."""
    made = 0

    def make(kind: str) -> str:
        nonlocal made
        made += 1
        url: str
        match kind:
            case "sqlite":
                return f"sqlite:///{tmp_path / f'store-{made}.db'}"
            case "postgres":
                url = request.getfixturevalue("postgres_cluster").database()
            case _:
                url = request.getfixturevalue("mongo_server").emptied(made)
        return url

    return make


@pytest.fixture(scope="session")
def full(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """Gives the URL of a full store of a kind, made once; nobody may change it."""
    made: dict[str, str] = {}

    def of(kind: str) -> str:
        if kind not in made:
            match kind:
                case "sqlite":
                    url = f"sqlite:///{tmp_path_factory.mktemp('full') / 'runwatch.db'}"
                case "postgres":
                    url = request.getfixturevalue("postgres_cluster").database()
                case _:
                    url = request.getfixturevalue("mongo_server").emptied(FULL)
            fill(url)
            made[kind] = url
        return made[kind]

    return of


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, full: Callable[[str], str]) -> str:
    """A full store of each kind, which nobody may change."""
    return full(request.param)


def fill(url: str, *, messages: int = 20) -> None:
    fleet = KeptFleet(url, messages=messages)
    try:
        fleet.live()
        fleet.forget_a_task()
    finally:
        fleet.store.close()
