"""A server in the test's loop, fresh for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.server.http.house import House, open_house


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house() as house:
        yield house


@pytest.fixture
async def local_house() -> AsyncIterator[House]:
    """In ``local`` mode: reading without a credential."""
    async with open_house("local") as house:
        yield house
