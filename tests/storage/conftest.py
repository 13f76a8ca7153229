"""Every store there is; each test of the contract runs over all of them.

A new store is one more entry of `STORES`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import Store
from tests.mongo import MongoServer
from tests.postgres import Cluster
from tests.storage.making import RULES


def _memory(request: pytest.FixtureRequest, folder: Path) -> str:
    return "sqlite:///:memory:"


def _sqlite(request: pytest.FixtureRequest, folder: Path) -> str:
    return f"sqlite:///{folder / 'runwatch.db'}"


def _postgres(request: pytest.FixtureRequest, folder: Path) -> str:
    cluster: Cluster = request.getfixturevalue("postgres_cluster")
    return cluster.emptied()


def _mongo(request: pytest.FixtureRequest, folder: Path) -> str:
    server: MongoServer = request.getfixturevalue("mongo_server")
    return server.emptied()


STORES: dict[str, Callable[[pytest.FixtureRequest, Path], str]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "postgres": _postgres,
    "mongo": _mongo,
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = STORES[request.param](request, tmp_path)
    store = open_store(url, rules=RULES, synchronous="full")
    yield store
    store.close()
