"""A fleet, fresh for each test."""

from collections.abc import Iterator

import pytest

from tests.server.fleet.harbour import Harbour
from tests.server.fleet.pier import Pier


@pytest.fixture
def harbour() -> Iterator[Harbour]:
    harbour = Harbour()
    yield harbour
    harbour.store.close()


@pytest.fixture
def pier() -> Iterator[Pier]:
    pier = Pier()
    yield pier
    pier.store.close()
