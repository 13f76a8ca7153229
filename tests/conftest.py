"""What every test begins with: loggers as a fresh process has them.

Tests start uvicorn and configure logging in this process, and both change loggers for good.
"""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from runwatch_shared.logs import QUIET_LOGGERS
from tests import mongo, postgres

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
os.environ["RUNWATCH_SESSIONS"] = "false"
"""No test reads the agent sessions of whoever runs it."""
CHANGED = (*QUIET_LOGGERS, "uvicorn", "uvicorn.asgi")


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> None:
    """No level, no handler and nothing held back, whatever an earlier test did."""
    logging.getLogger().setLevel(logging.WARNING)
    for name in CHANGED:
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        logger.handlers.clear()
        logger.propagate = True
        logger.disabled = False


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL server for the whole session; skipped, visibly, where it is not installed."""
    if postgres.binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres.cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def mongo_server() -> Iterator[mongo.MongoServer]:
    """MongoDB, or FerretDB, for the whole session; skipped, visibly, where there is neither."""
    if mongo.url_of_a_real_one() is None and not mongo.program().exists():
        pytest.skip("there is no MongoDB, and FerretDB is not built (make test builds it)")
    with mongo.server() as server:
        yield server
