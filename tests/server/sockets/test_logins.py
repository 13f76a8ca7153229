"""Logins and accounts on the sockets: in the delta feed, the feed of lists, and one login's own."""

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from runwatch_server import workflow_lists, workflows
from runwatch_server.accounts import phases
from runwatch_server.accounts.rows import AccountRow, ActionRow
from runwatch_server.fanout.logins import LoginFollower
from runwatch_server.storage.protocols import Query, WriteTx
from runwatch_shared.wire import WorkflowFilter
from tests.server.sockets.houses import RUN, House
from tests.server.sockets.hubs import told
from tests.server.sockets.peers import VIEWER, FakeWire
from tests.server.sockets.serving import Served, serving
from tests.server.sockets.test_compatible import join as join_lists
from tests.server.sockets.test_compatible import wait as wait_for_lists
from tests.server.sockets.test_groups import Stage, stage
from tests.storage.making import an_account, an_action

__all__ = ["stage"]

ACTION = "act-000000000001"
TOPICS = ["workflows", "accounts"]


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    house.commit(house.fleet.making(status="running"))
    house.wait()
    yield house
    house.close()


def saving(row: Any) -> object:
    return lambda tx: tx.kept(type(row)).save(row)


def deleting(row: Any) -> object:
    return lambda tx: tx.kept(type(row)).delete(row.id)


def told_more(row: ActionRow, **fields: Any) -> ActionRow:
    """The next state of a login, with the phase it comes to."""
    return phases.told(msgspec.structs.replace(row, **fields), at_us=row.updated_us, by="node")


WAITING = an_action(1, status="waiting", waiting_us=1, result={"user_code": "AB"})


def test_a_snapshot_has_both_types_in_one_order_and_the_accounts(house: House) -> None:
    house.commit(saving(WAITING), saving(an_account()))
    wire, _ = house.join(topics=TOPICS)
    snapshot = told(wire)[1]
    assert [row["type"] for row in snapshot["workflows"]] == ["auth", "run"]
    assert snapshot["total"] == 2
    assert [row["id"] for row in snapshot["accounts"]] == ["claude-code_ada"]


def test_a_change_tells_logins_as_workflows_and_accounts_as_accounts(house: House) -> None:
    wire, _ = house.join(topics=TOPICS, filter=WorkflowFilter(type=["auth"], active=True))
    told(wire)
    house.commit(saving(WAITING), saving(an_account()), house.fleet.changing(RUN, tool_calls=1))
    house.wait()
    (change,) = told(wire)
    assert [row["id"] for row in change["workflows"]["upsert"]] == [ACTION]
    assert change["workflows"]["upsert"][0]["waiting"]["prompt"] == "Enter the code AB"
    assert change["accounts"]["upsert"][0]["status"] == "pending"
    assert (change["entered"], change["left"]) == (1, 0)
    over = msgspec.structs.replace(WAITING, status="success", finished_us=5)
    house.commit(saving(over), deleting(an_account()))
    house.wait()
    (change,) = told(wire)
    assert change["workflows"]["remove"] == [{"type": "auth", "id": ACTION}]
    assert change["accounts"]["remove"] == ["claude-code_ada"]
    assert (change["entered"], change["left"]) == (0, 1)


def test_who_does_not_ask_for_accounts_is_told_of_none(house: House) -> None:
    wire, _ = house.join()
    told(wire)
    house.commit(saving(an_account()))
    house.wait()
    assert told(wire) == []


def test_a_resumed_feed_tells_what_changed_and_what_is_gone(house: House) -> None:
    second = an_action(2)
    house.commit(saving(WAITING), saving(second), saving(an_account()), saving(an_account("bob")))
    since = house.fleet.revision
    house.commit(saving(msgspec.structs.replace(WAITING, status="running")))
    house.commit(deleting(second), deleting(an_account("bob")))
    wire, _ = house.join(since=since, topics=TOPICS)
    greeting, change = told(wire)
    assert greeting["resumed"] is True
    assert [row["status"] for row in change["workflows"]["upsert"]] == ["running"]
    assert change["workflows"]["remove"] == [{"type": "auth", "id": second.id}]
    assert change["accounts"] == {"upsert": [], "remove": ["claude-code_bob"]}
    assert change["total"] == 2


@pytest.mark.parametrize("seed", range(6))
def test_a_client_that_folds_what_it_is_told_has_what_is_stored(seed: int) -> None:
    """Through any changes, resumed at any moment: the rows of the store, and their number."""
    rng = random.Random(seed)
    house = House()
    rows: dict[str, Any] = {}
    accounts: dict[str, Any] = {}
    total = revision = 0
    wire, viewer = house.join(topics=TOPICS, filter=WorkflowFilter(active=True))
    try:
        for _ in range(60):
            for frame in told(wire):
                if frame["type"] == "snapshot":
                    rows, accounts = {}, {}
                if frame["type"] in {"snapshot", "change"}:
                    revision = frame["revision"]
                    total += frame.get("entered", 0) - frame.get("left", 0)
                    total = frame.get("total", total)
                fold(frame, rows, accounts)
            if rng.random() < 0.15:
                house.within(lambda: house.hub.monitor.leave(viewer))  # noqa: B023
                house.commit(*some_changes(house, rng))
                wire, viewer = house.join(
                    since=revision, topics=TOPICS, filter=WorkflowFilter(active=True)
                )
                continue
            house.commit(*some_changes(house, rng))
            house.wait()
        for frame in told(wire):
            total += frame.get("entered", 0) - frame.get("left", 0)
            total = frame.get("total", total)
            fold(frame, rows, accounts)
        with house.fleet.store.read() as tx:
            stored = workflow_lists.page(tx, Query(active=True, limit=1000))
            known = {row.id: row for row in tx.kept(AccountRow).find(limit=99)}
        assert {key: row["status"] for key, row in rows.items()} == {
            row.id: row.status for row in stored
        }
        assert {row["type"] for row in rows.values()} <= {workflows.type_of(row) for row in stored}
        assert {key: row["status"] for key, row in accounts.items()} == {
            key: row.status for key, row in known.items()
        }
        assert total == len(stored)
    finally:
        house.close()


def fold(frame: Any, rows: dict[str, Any], accounts: dict[str, Any]) -> None:
    match frame["type"]:
        case "snapshot":
            rows.update({row["id"]: row for row in frame.get("workflows", [])})
            accounts.update({row["id"]: row for row in frame.get("accounts", [])})
        case "change":
            told_of = frame.get("workflows") or {"upsert": [], "remove": []}
            rows.update({row["id"]: row for row in told_of["upsert"]})
            for key in told_of["remove"]:
                rows.pop(key["id"], None)
            told_of = frame.get("accounts") or {"upsert": [], "remove": []}
            accounts.update({row["id"]: row for row in told_of["upsert"]})
            for key in told_of["remove"]:
                accounts.pop(key, None)


def some_changes(house: House, rng: random.Random) -> list[object]:
    works: list[object] = []
    for _ in range(rng.randrange(1, 4)):
        status = rng.choice(["assigned", "waiting", "success", "failed"])
        login = an_action(rng.randrange(1, 5), status=status, waiting_us=1)
        account = an_account(
            f"a{rng.randrange(3)}", status=rng.choice(["pending", "authenticated", "expired"])
        )
        works.append(
            rng.choice(
                [
                    saving(login),
                    saving(login),
                    deleting(login),
                    saving(account),
                    deleting(account),
                    house.fleet.making(status="running"),
                    house.fleet.changing(f"run-{rng.randrange(1, 4):012x}", status="done"),
                ]
            )
        )
    return works


def test_the_feed_of_lists_has_logins_and_tells_their_moves(stage: Stage) -> None:
    wire = join_lists(stage)
    wire.payloads.clear()
    stage.commit(saving(WAITING))
    over = msgspec.structs.replace(WAITING, status="timeout", finished_us=5)
    stage.commit(saving(over), saving(an_account()))
    events = [frame["data"] for frame in told(wire)]
    assert [(event["workflow_type"], event["change"], event["state"]) for event in events] == [
        ("auth", "created", "waiting"),
        ("auth", "updated", "failed"),
    ]
    assert events[1]["previous_state"] == "waiting"
    wait_for_lists(stage, 3.1)
    lists = {frame["type"]: frame["data"] for frame in told(wire)}
    assert ACTION in [row["id"] for row in lists["workflows"]]
    assert lists["stats"]["workflows_by_type"]["auth"] == 1


def path_of(served: Served, query: str = "", some_id: str = ACTION) -> str:
    return served.url(f"/ws/workflows/auth/{some_id}/events{query}")


async def until_closed(socket: Any) -> tuple[list[Any], int]:
    """What a socket says until it is closed, and with which code."""
    frames: list[Any] = []
    async with asyncio.timeout(20):
        try:
            while True:
                frames.append(json.loads(await socket.recv()))
        except ConnectionClosed as closed:
            return frames, -1 if closed.rcvd is None else closed.rcvd.code


def phases_of(served: Served) -> list[ActionRow]:
    """The states a login comes to, one a commit."""
    first = phases.told(an_action(1), at_us=1, by="user")
    second = told_more(first, status="running", phase="initializing")
    third = told_more(second, status="waiting", phase="waiting_oauth", waiting_us=1, message="go")
    return [first, second, third, told_more(third, status="success", finished_us=9)]


async def test_a_login_is_followed_to_its_end() -> None:
    async with serving() as served:
        first, second, third, fourth = phases_of(served)
        served.commit(saving(first))
        async with connect(path_of(served, "?from_seq=0"), compression=None) as socket:
            begun = json.loads(await socket.recv())
            assert begun["data"] == {
                "id": 1,
                "action_id": ACTION,
                "seq": 1,
                "epoch": 1,
                "type": "assigned",
                "timestamp": "1970-01-01T00:00:00.000001Z",
                "received_at": "1970-01-01T00:00:00.000001Z",
                "level": "info",
                "payload": {"status": "assigned", "by": "user"},
            }
            served.commit(saving(second))
            served.commit(saving(third), saving(fourth))
            frames, code = await until_closed(socket)
        assert [frame["data"]["type"] for frame in frames[:-1]] == [
            "initializing",
            "waiting_oauth",
            "waiting_oauth",
        ]
        assert [frame["data"]["seq"] for frame in frames[:-1]] == [2, 3, 4]
        assert frames[-1] == {
            "type": "status",
            "data": {
                "action_id": ACTION,
                "status": "success",
                "finished_at": "1970-01-01T00:00:00.000009Z",
                "last_seq": 4,
            },
        }
        assert code == 1000
        operation = ACTION.replace("act-", "op-")
        async with connect(path_of(served, "?from_seq=2&batch=true", operation)) as socket:
            frames, code = await until_closed(socket)
        assert [frame["type"] for frame in frames] == ["events", "status"]
        assert [event["seq"] for event in frames[0]["data"]] == [3, 4]
        async with connect(path_of(served)) as socket:
            frames, code = await until_closed(socket)
        assert [frame["type"] for frame in frames] == ["status"]


@pytest.mark.parametrize(
    ("query", "some_id", "status"),
    [
        ("", "act-000000000009", 404),
        ("", "x%00", 404),
        ("?from_seq=7", ACTION, 409),
        ("?store=0", ACTION, 409),
        ("?from_seq=x", ACTION, 400),
        ("?batch=2", ACTION, 400),
    ],
)
async def test_what_cannot_be_followed_is_refused_before_the_upgrade(
    query: str, some_id: str, status: int
) -> None:
    async with serving() as served:
        served.commit(saving(phases_of(served)[0]))
        with pytest.raises(InvalidStatus) as refused:
            async with connect(path_of(served, query, some_id)):
                pass
        assert refused.value.response.status_code == status


async def test_a_deleted_login_closes_its_sockets() -> None:
    async with serving() as served:
        served.commit(saving(phases_of(served)[0]))
        async with connect(path_of(served, "?from_seq=1")) as socket:
            await asyncio.wait_for(socket.ping(), 20)
            served.commit(deleting(an_action(1)))
            _, code = await until_closed(socket)
        assert code == 4404


def test_who_takes_nothing_gets_all_of_it_later_and_what_is_gone_as_a_gap(house: House) -> None:
    row = phases.told(an_action(1), at_us=1, by="user")
    for number in range(150):
        row = told_more(row, status="running", message=str(number))
    over = told_more(row, status="failed", finished_us=9)
    house.commit(saving(row))
    wire = FakeWire(room=2)
    follower = LoginFollower(wire, VIEWER, action_id=ACTION, seq=0, batch=False)
    house.within(lambda: house.hub._owner.spawn(house.hub.logins.join(follower), name="join"))
    house.serve()
    frames = told(wire)
    assert frames[0]["data"] == {"from_seq": 1, "to_seq": 51, "reason": "expired"}
    house.commit(saving(over))
    house.within(lambda: wire.give_room(1000))
    frames += told(wire)
    assert [frame["data"]["seq"] for frame in frames[1:-1]] == list(range(52, 153))
    assert frames[-1]["data"]["status"] == "failed"
    assert wire.closed == 1000


def test_a_work_reads_what_it_saved(house: House) -> None:
    def work(tx: WriteTx) -> None:
        tx.kept(ActionRow).save(WAITING)
        assert tx.kept(ActionRow).find(node_id="n1", limit=9)[0].status == "waiting"

    house.commit(work)
