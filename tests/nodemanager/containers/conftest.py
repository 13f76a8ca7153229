"""A Podman for the tests of this folder, and nodes that run everything in its containers."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from runwatch_shared.settings import ContainerSettings
from tests.nodemanager.conftest import TestNode
from tests.nodemanager.containers.podman import BARE_IMAGE, IMAGE, Podman, podman, why_not


@pytest.fixture(scope="session")
def installed_podman() -> Iterator[Podman]:
    """With its images; its service does not run."""
    if reason := why_not():
        pytest.skip(f"no containers here: {reason}")
    # Podman takes no path of over 50 characters, which those of tests are.
    with TemporaryDirectory(prefix="rw-", dir="/tmp") as folder, podman(Path(folder)) as mine:
        if reason := mine.why_none_runs():
            pytest.skip(f"no containers here: {reason}")
        yield mine


@pytest.fixture
def engine(installed_podman: Podman) -> Iterator[Podman]:
    """A running service, and no container before and after a test."""
    installed_podman.serve()
    yield installed_podman
    if left := installed_podman.containers():
        installed_podman.run("rm", "--force", "--time=0", *left)


@pytest.fixture
def contained_node(
    engine: Podman, new_node: Callable[..., Awaitable[TestNode]]
) -> Callable[..., Awaitable[TestNode]]:
    """Makes nodes whose runs get containers; ``containers`` changes their rules."""

    async def make(containers: dict[str, Any] | None = None, **changes: Any) -> TestNode:
        rules = ContainerSettings(**(rules_of(engine) | (containers or {})))
        return await new_node(**({"runtimes": ["podman"], "containers": rules} | changes))

    return make


def rules_of(engine: Podman) -> dict[str, Any]:
    return {
        "host": engine.url,
        "images": [BARE_IMAGE],
        "default_images": {"*": IMAGE},
        "network": "none",
        "memory_mb": 256,
        "pids": 64,
    }


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of this machine with a file."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "note").write_text("from outside\n")
    return folder
