"""A full store of each kind, and empty ones to move it to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.storage.keeping.fleet import KeptFleet

Empty = Callable[[str], str]


@pytest.fixture
def empty(tmp_path: Path, request: pytest.FixtureRequest) -> Empty:
    """Makes the URL of a store of a kind that has nothing yet."""
    made = 0

    def make(kind: str) -> str:
        nonlocal made
        made += 1
        if kind == "sqlite":
            return f"sqlite:///{tmp_path / f'store-{made}.db'}"
        url: str = request.getfixturevalue("postgres_cluster").database()
        return url

    return make


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, empty: Empty) -> str:
    """A full store."""
    url = empty(request.param)
    fill(url)
    return url


def fill(url: str) -> None:
    fleet = KeptFleet(url)
    try:
        fleet.live()
        fleet.forget_a_task()
    finally:
        fleet.store.close()
