"""Nodes that join: a token counts once, for whom it was made, and is no credential."""

from typing import Any

import pytest

from runwatch_server.access.joining import LIFE_S
from tests.server.http.house import House, open_house


async def token(house: House, **fields: Any) -> str:
    made = await house.make("/api/v1/nodes/join-tokens", fields)
    text: str = made["token"]
    return text


async def joined(house: House, text: str, node_id: str = "fresh") -> tuple[int, Any]:
    answer = await house.send(
        "POST", "/api/v1/nodes/join", who=None, body={"token": text, "node_id": node_id}
    )
    return answer.status_code, answer.json()


async def beat(house: House, node_token: str, node_id: str) -> int:
    body = {"node_id": node_id, "process_id": "p", "capacity": {"max_concurrent": 1}}
    answer = await house.send(
        "POST",
        "/api/v1/nodes/heartbeat",
        who=None,
        body=body,
        headers={"X-Node-Token": node_token},
    )
    return answer.status_code


async def test_a_machine_joins_and_its_token_is_for_it_alone(house: House) -> None:
    status, answer = await joined(house, await token(house))
    assert (status, answer["node_id"]) == (201, "fresh")
    assert await beat(house, answer["token"], "fresh") == 200
    assert await beat(house, answer["token"], "another") == 403


async def test_a_token_for_joining_counts_once(house: House) -> None:
    text = await token(house)
    assert (await joined(house, text, "one"))[0] == 201
    for node_id in ("one", "two"):
        status, answer = await joined(house, text, node_id)
        assert (status, answer["details"]["reason"]) == (401, "revoked")


async def test_a_token_for_joining_ends_after_a_quarter_of_an_hour(house: House) -> None:
    text = await token(house)
    house.clock.advance(LIFE_S + 1)
    status, answer = await joined(house, text)
    assert (status, answer["details"]["reason"]) == (401, "expired")


async def test_nobody_takes_the_place_of_a_node_that_is_known(house: House) -> None:
    await house.beat("node-1")
    text = await token(house)
    status, answer = await joined(house, text, "node-1")
    assert (status, answer["code"]) == (409, "node_conflict")
    assert (await joined(house, text, "new"))[0] == 201, "what was refused changed nothing"


async def test_a_token_that_names_a_node_is_for_it_and_ends_the_older_ones(house: House) -> None:
    _, first = await joined(house, await token(house))
    assert await beat(house, first["token"], "fresh") == 200
    text = await token(house, node_id="fresh")
    status, answer = await joined(house, text, "other")
    assert (status, answer["details"]["reason"]) == (401, "node")
    _, second = await joined(house, text)
    assert await beat(house, second["token"], "fresh") == 200
    assert await beat(house, first["token"], "fresh") == 401


async def test_a_token_for_joining_is_no_credential_and_is_not_listed(house: House) -> None:
    text = await token(house)
    for headers in ({"Authorization": f"Bearer {text}"}, {"X-Node-Token": text}):
        answer = await house.send("GET", "/api/v1/server", who=None, headers=headers)
        assert answer.status_code == 401
    listed = (await house.get("/api/v1/auth/tokens"))["tokens"]
    assert text.split("_")[2] not in {each["id"] for each in listed}


@pytest.mark.parametrize("who", ["viewer", "operator", "node", None])
async def test_only_an_administrator_makes_one(house: House, who: str | None) -> None:
    answer = await house.send("POST", "/api/v1/nodes/join-tokens", who=who, body={})
    assert answer.status_code in {401, 403}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"expires_in_s": 0}, "expires_in_s"),
        ({"expires_in_s": 90_000}, "expires_in_s"),
        ({"node_id": "no id"}, "node_id"),
        ({"name": ""}, "name"),
    ],
)
async def test_what_cannot_be_is_refused(house: House, body: dict[str, Any], field: str) -> None:
    answer = await house.send("POST", "/api/v1/nodes/join-tokens", body=body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


async def test_guessing_is_bounded_an_address() -> None:
    async with open_house() as house:
        codes = [(await joined(house, "runwatch_join_x"))[0] for _ in range(7)]
        assert codes == [401] * 5 + [429] * 2
