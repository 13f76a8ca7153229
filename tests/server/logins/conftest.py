"""A server in the test's loop; those tests that a store could make differ run over two of them."""

from collections.abc import AsyncIterator

import pytest

from tests.postgres import Cluster
from tests.server.logins.desk import Desk, open_desk

ON_BOTH = frozenset(
    {
        "test_a_login_goes_from_its_node_to_a_person_and_makes_an_account",
        "test_the_same_request_again_begins_no_second_login",
        "test_a_key_is_given_to_its_node_alone_and_erased_at_the_end",
        "test_a_wait_ends_with_an_action_an_input_or_a_cancel",
        "test_a_login_that_nobody_finishes_times_out",
        "test_logins_are_listed_newest_first_page_by_page",
        "test_a_run_waits_for_its_login_and_starts_when_it_is_there",
        "test_a_refused_login_expires_the_account_once_and_blocks_its_runs",
        "test_an_archive_comes_back_as_it_was_and_lies_sealed",
        "test_filters_and_types_choose_among_both",
        "test_numbers_count_logins_too",
    }
)
"""What every store does for kept rows is in `tests/storage/test_kept.py`; this is from outside."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "desk" in metafunc.fixturenames:
        stores = ["memory", "postgres"] if metafunc.function.__name__ in ON_BOTH else ["memory"]
        metafunc.parametrize("desk", stores, indirect=True)


@pytest.fixture
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    url = "sqlite:///:memory:"
    if request.param == "postgres":
        cluster: Cluster = request.getfixturevalue("postgres_cluster")
        url = cluster.emptied()
    async with open_desk(url) as desk:
        yield desk


@pytest.fixture
async def quick_desk() -> AsyncIterator[Desk]:
    """Only in memory."""
    async with open_desk("sqlite:///:memory:") as desk:
        yield desk
