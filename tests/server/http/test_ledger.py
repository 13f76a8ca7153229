"""The ledger over HTTP: its route, the node's record, the feed's row and the metrics (11.4, 4)."""

import pytest

from runwatch_server import sweeper
from tests.server.http.house import House

PATH = "/api/v1/nodes/node-1/ledger"


def named(run_id: str, epoch: int = 1) -> dict[str, object]:
    return {"id": run_id, "epoch": epoch, "alive": True, "spooled_seq": 0, "acked_seq": 0}


async def test_a_ledger_says_what_was_given_and_what_runs(house: House) -> None:
    held, _ = await house.held_run()
    orphan = {"kind": "container", "ref": "left", "since": "2026-11-23T10:00:00+01:00"}
    await house.beat(runs=[named(held)], orphans=[orphan])
    told = await house.get(PATH, who="viewer")
    numbers = {
        "capacity": 4,
        "allocated": 1,
        "pending": 0,
        "real": 2,
        "matched": 1,
        "phantom": 0,
        "orphan": 1,
    }
    assert {name: told[name] for name in numbers} == numbers
    assert told["node_id"] == "node-1"
    assert [(row["class"], row.get("run_id"), row.get("ref")) for row in told["rows"]] == [
        ("orphan", None, "left"),
        ("matched", held, None),
    ]
    assert told["rows"][0]["since"] == "2026-11-23T09:00:00.000000Z"
    node = await house.get("/api/v1/nodes/node-1")
    assert {name: node["ledger"][name] for name in numbers} == numbers
    assert node["ledger"]["as_of"] == node["last_heartbeat"] == told["as_of"]
    text = await house.metrics()
    for kind, value in (("real", 2), ("phantom", 0), ("orphan", 1), ("allocated", 1)):
        assert f'runwatch_node_slots{{kind="{kind}"}} {value}.0' in text


async def test_the_metrics_leave_out_what_nobody_can_say(house: House) -> None:
    await house.beat(orphans=[{"kind": "process", "ref": "7", "since": "2026-11-23T10:00:00Z"}])
    assert 'runwatch_node_slots{kind="orphan"} 1.0' in await house.metrics()
    house.clock.advance(100)
    settings = house.services.settings
    await house.services.writer.write(
        lambda tx: sweeper.sweep(tx, settings=settings, node_ids=["node-1"])
    )
    assert (await house.get(PATH))["orphan"] is None
    assert 'runwatch_node_slots{kind="orphan"} 0.0' in await house.metrics()


@pytest.mark.parametrize(("who", "status"), [("viewer", 200), ("node-1", 403), (None, 401)])
async def test_who_may_read_it(house: House, who: str | None, status: int) -> None:
    await house.beat()
    assert (await house.send("GET", PATH, who=who)).status_code == status


async def test_an_unknown_node_has_none(house: House) -> None:
    answer = await house.send("GET", "/api/v1/nodes/nobody/ledger")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
