"""Every store there is; each test of the contract runs over all of them.

A new store is one more entry of `STORES`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import Store
from tests.storage.making import RULES


def _memory(folder: Path) -> Store:
    return open_store("sqlite:///:memory:", rules=RULES, synchronous="full")


def _sqlite(folder: Path) -> Store:
    url = f"sqlite:///{folder / 'runwatch.db'}"
    return open_store(url, rules=RULES, synchronous="full")


STORES: dict[str, Callable[[Path], Store]] = {"memory": _memory, "sqlite": _sqlite}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = STORES[request.param](tmp_path)
    yield store
    store.close()
