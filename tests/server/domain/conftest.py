"""The store in memory, fresh for each test."""

from collections.abc import Iterator

import pytest

from tests.server.domain.keeping import Keeper


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    keeper = Keeper()
    yield keeper
    keeper.store.close()
