"""A login that is no longer accepted makes one alert."""

import msgspec
import pytest

from runwatch_server.accounts import holding
from runwatch_server.accounts.rows import AccountRow
from runwatch_server.alerts.expiry import expiry_rule
from runwatch_server.alerts.kinds import USUAL_KINDS
from runwatch_server.alerts.message import body_of
from runwatch_server.storage.open import open_store
from runwatch_shared.models import NodeId
from tests.mongo import MongoServer
from tests.storage.making import NOW_US, RULES, an_account, committed, write

RULE = expiry_rule(USUAL_KINDS)
KNOWN = an_account(status="authenticated", logged_in={NodeId("n1"): 1})


@pytest.fixture(params=["sqlite", "mongo"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return "sqlite:///:memory:"
    server: MongoServer = request.getfixturevalue("mongo_server")
    return server.emptied()


def test_however_many_runs_are_refused_there_is_one_alert(url: str) -> None:
    rules = msgspec.structs.replace(RULES, kept_alerts=RULE)
    store = open_store(url, rules=rules, synchronous="full")
    try:
        write(store, lambda tx: tx.kept(AccountRow).save(KNOWN))
        told = []
        for _ in range(3):
            _, commit = committed(store, lambda tx: holding.refuse(tx, KNOWN.id))
            told += [] if commit is None else commit.alerts
        with store.read() as tx:
            assert tx.pending_alerts() == told
        (alert,) = told
        body = msgspec.json.decode(body_of(alert, "0" * 16))
        assert body["type"] == "account.failed"
        assert body["workflow"] is None
        assert body["text"] == "The login claude-code_ada is no longer accepted: it was refused"
    finally:
        store.close()


@pytest.mark.parametrize(
    ("before", "after", "texts"),
    [
        (
            KNOWN,
            msgspec.structs.replace(KNOWN, status="expired", blocked_runs=2),
            [
                "The login claude-code_ada is no longer accepted: it has expired; 2 runs wait",
            ],
        ),
        (None, an_account(status="expired"), []),
        (an_account(status="authenticating"), an_account(status="expired"), []),
        (KNOWN, msgspec.structs.replace(KNOWN, status="pending"), []),
        (an_account(status="expired"), an_account(status="expired", blocked_runs=1), []),
    ],
)
def test_only_an_account_that_could_be_used_and_cannot_makes_one(
    before: AccountRow | None, after: AccountRow, texts: list[str]
) -> None:
    assert [alert.text for alert in RULE(before, after, NOW_US)] == texts


def test_who_wants_no_failures_is_told_of_none() -> None:
    after = msgspec.structs.replace(KNOWN, status="expired")
    assert expiry_rule(frozenset({"waiting"}))(KNOWN, after, NOW_US) == []
