"""A fleet, fresh for each test."""

from collections.abc import Iterator

import pytest

from tests.server.fleet.harbour import Harbour


@pytest.fixture
def harbour() -> Iterator[Harbour]:
    harbour = Harbour()
    yield harbour
    harbour.store.close()
