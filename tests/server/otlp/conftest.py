"""A server in the test's loop whose clock shows the time of the recordings."""

from collections.abc import AsyncIterator

import pytest

from tests.server.http.house import House, open_house
from tests.server.otlp.stage import NOW


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house() as house:
        house.clock.set_wall(NOW)
        yield house
