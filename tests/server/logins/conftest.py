"""A server in the test's loop, over each kind of store that several servers or one may have."""

from collections.abc import AsyncIterator

import pytest

from tests.postgres import Cluster
from tests.server.logins.desk import Desk, open_desk


def url_of(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "sqlite:///:memory:"
    cluster: Cluster = request.getfixturevalue("postgres_cluster")
    return cluster.emptied()


@pytest.fixture(params=["memory", "postgres"])
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with open_desk(url_of(request)) as desk:
        yield desk


@pytest.fixture
async def quick_desk() -> AsyncIterator[Desk]:
    """Only in memory, where the store makes no difference."""
    async with open_desk("sqlite:///:memory:") as desk:
        yield desk
