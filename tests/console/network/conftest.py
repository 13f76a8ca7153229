"""A scripted server on a free port and the contexts that point at it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from runwatch_console.contexts import Context
from runwatch_console.retries import Retries
from runwatch_shared.backoff import Backoff
from tests.console.network.scripted import ScriptedServer, serving


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with serving(ScriptedServer()) as script:
        yield script


def context_for(url: str, data_dir: Path, **values: object) -> Context:
    fields = {"given_token": "", "token_file": None, "given_ca": None, **values}
    return Context(given_url=url, data_dir=data_dir, **fields)  # type: ignore[arg-type]  # test


@pytest.fixture
def context(server: ScriptedServer, tmp_path: Path) -> Context:
    return context_for(server.url, tmp_path)


@pytest.fixture
def quick() -> Callable[[], Retries]:
    """Waits of a hundredth of a second, without chance."""

    def make() -> Retries:
        return Retries(Backoff(first_s=0.01, longest_s=0.01, uniform=lambda _, high: high))

    return make
