"""Logins, sessions, passwords and tokens (contract 2.1 and 2.4)."""

from typing import Any

import httpx

from runwatch_server.access.issuing import disable_user
from runwatch_server.storage.protocols import WriteTx
from runwatch_shared.settings import Limits
from tests.server.http.house import PASSWORD, House, Unchanged, open_house

LOGIN = "/api/v1/auth/login"
ME = "/api/v1/auth/me"
MINUTES = 60


async def login(
    house: House, email: str = "admin@example.org", password: str = PASSWORD
) -> httpx.Response:
    answer = await house.send("POST", LOGIN, who=None, body={"email": email, "password": password})
    house.client.cookies.clear()
    return answer


def bearer(answer: httpx.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def reason(answer: httpx.Response) -> Any:
    assert answer.status_code == 401
    return answer.json()["details"]["reason"]


async def test_a_login_gives_tokens_and_cookies_without_secrets_in_scripts_reach(
    house: House,
) -> None:
    answer = await login(house)
    assert answer.status_code == 200
    assert answer.json()["user"]["email"] == "admin@example.org"
    assert answer.json()["expires_in_s"] == 900
    cookies = answer.headers.get_list("set-cookie")
    assert [cookie.split("=")[0] for cookie in cookies] == ["access_token", "refresh_token"]
    assert all("HttpOnly" in cookie and "SameSite=Lax" in cookie for cookie in cookies)
    assert "Path=/;" in cookies[0]
    assert "Path=/api/v1/auth;" in cookies[1]
    assert not any("Secure" in cookie for cookie in cookies)
    me = await house.send("GET", ME, who=None, headers=bearer(answer))
    assert me.json()["role"] == "admin"
    cookie = {"Cookie": cookies[0].split(";")[0]}
    assert (await house.send("GET", ME, who=None, headers=cookie)).status_code == 200


async def test_a_wrong_password_and_an_unknown_user_look_the_same(house: House) -> None:
    async with Unchanged(house):
        wrong = await login(house, password="wrong")
        nobody = await login(house, email="nobody@example.org")
    assert wrong.status_code == nobody.status_code == 401
    assert wrong.json() == nobody.json()
    assert wrong.json()["code"] == "invalid_login"


async def test_too_many_failures_are_told_to_wait_and_the_right_password_too() -> None:
    async with open_house(limits=Limits(login_failures_per_min=3)) as house:
        for _ in range(3):
            assert (await login(house, password="wrong")).status_code == 401
        answer = await login(house)
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert (await login(house, email="viewer@example.org")).status_code == 200
        house.clock.advance(61)
        assert (await login(house)).status_code == 200


async def test_an_access_token_ends_after_its_time_and_a_refresh_gives_another(
    house: House,
) -> None:
    first = await login(house)
    house.clock.advance(16 * MINUTES)
    assert reason(await house.send("GET", ME, who=None, headers=bearer(first))) == "expired"
    body = {"refresh_token": first.json()["refresh_token"]}
    again = await house.send("POST", "/api/v1/auth/refresh", who=None, body=body)
    assert again.status_code == 200
    assert (await house.send("GET", ME, who=None, headers=bearer(again))).status_code == 200
    cookie = {"Cookie": f"refresh_token={body['refresh_token']}"}
    answer = await house.send("POST", "/api/v1/auth/refresh", who=None, headers=cookie)
    assert answer.status_code == 200
    house.client.cookies.clear()
    answer = await house.send("POST", "/api/v1/auth/refresh", who=None)
    assert (answer.status_code, answer.json()["field"]) == (400, "refresh_token")
    house.clock.advance(169 * 3600)
    answer = await house.send("POST", "/api/v1/auth/refresh", who=None, body=body)
    assert reason(answer) == "expired"


async def test_the_tokens_of_a_session_cannot_stand_in_for_each_other(house: House) -> None:
    answer = (await login(house)).json()
    headers = {"Authorization": f"Bearer {answer['refresh_token']}"}
    assert reason(await house.send("GET", ME, who=None, headers=headers)) == "unknown"
    body = {"refresh_token": answer["access_token"]}
    assert (
        reason(await house.send("POST", "/api/v1/auth/refresh", who=None, body=body)) == "unknown"
    )


async def test_a_logout_ends_the_session_at_once(house: House) -> None:
    session = await login(house)
    other = await login(house)
    answer = await house.send("POST", "/api/v1/auth/logout", who=None, headers=bearer(session))
    assert answer.status_code == 204
    assert all("Max-Age=0" in cookie for cookie in answer.headers.get_list("set-cookie"))
    assert reason(await house.send("GET", ME, who=None, headers=bearer(session))) == "revoked"
    body = {"refresh_token": session.json()["refresh_token"]}
    assert (
        reason(await house.send("POST", "/api/v1/auth/refresh", who=None, body=body)) == "revoked"
    )
    assert (await house.send("GET", ME, who=None, headers=bearer(other))).status_code == 200


async def test_a_new_password_ends_the_other_sessions(house: House) -> None:
    mine, other = await login(house), await login(house)
    body = {"old_password": PASSWORD, "new_password": "battery staple"}
    path = "/api/v1/auth/password"
    for wrong, status in (
        ({**body, "new_password": "short"}, 400),
        ({**body, "old_password": "wrong"}, 401),
    ):
        async with Unchanged(house):
            answer = await house.send("PUT", path, who=None, headers=bearer(mine), body=wrong)
            assert answer.status_code == status
    answer = await house.send("PUT", path, who=None, headers=bearer(mine), body=body)
    assert answer.status_code == 200
    assert (await house.send("GET", ME, who=None, headers=bearer(mine))).status_code == 200
    assert reason(await house.send("GET", ME, who=None, headers=bearer(other))) == "revoked"
    assert (await login(house)).status_code == 401
    assert (await login(house, password="battery staple")).status_code == 200


async def test_a_disabled_user_is_out_within_the_time_a_credential_is_remembered(
    house: House,
) -> None:
    session = await login(house)
    headers = bearer(session)
    assert (await house.send("GET", ME, who=None, headers=headers)).status_code == 200

    def disable(tx: WriteTx) -> None:
        row = tx.access.user_by_email("admin@example.org")
        assert row is not None
        disable_user(tx, row)

    await house.services.writer.write(disable)
    house.clock.advance(3)
    answer = await house.send("GET", ME, who=None, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "account_disabled")
    answer = await login(house)
    assert (answer.status_code, answer.json()["code"]) == (403, "account_disabled")


async def test_registration_is_refused(house: House) -> None:
    answer = await house.send("POST", "/api/v1/auth/register", who=None, body={"email": "a@b"})
    assert (answer.status_code, answer.json()["code"]) == (403, "registration_disabled")


async def test_a_token_is_shown_once_works_and_is_over_when_it_is_revoked(house: House) -> None:
    made = await house.make("/api/v1/auth/tokens", {"name": "ci", "scope": "operator"})
    headers = {"Authorization": f"Bearer {made['token']}"}
    listed = await house.get("/api/v1/auth/tokens")
    assert made["id"] in [token["id"] for token in listed["tokens"]]
    assert not any("token" in token for token in listed["tokens"])
    me = await house.send("GET", ME, who=None, headers=headers)
    assert me.json() == {"id": made["id"], "username": "ci", "scope": "operator"}
    answer = await house.send("DELETE", f"/api/v1/auth/tokens/{made['id']}")
    assert answer.status_code == 204
    assert reason(await house.send("GET", ME, who=None, headers=headers)) == "revoked"
    assert (await house.send("DELETE", f"/api/v1/auth/tokens/{made['id']}")).status_code == 404


async def test_a_token_ends_after_its_time(house: House) -> None:
    body = {"name": "short", "scope": "viewer", "expires_in_s": 60}
    made = await house.make("/api/v1/auth/tokens", body)
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert (await house.send("GET", ME, who=None, headers=headers)).status_code == 200
    house.clock.advance(60)
    assert reason(await house.send("GET", ME, who=None, headers=headers)) == "expired"


async def test_token_requests_that_do_not_fit_are_refused(house: House) -> None:
    for body, field in (
        ({"name": "x", "scope": "root"}, "scope"),
        ({"name": "", "scope": "viewer"}, "name"),
        ({"name": "x" * 65, "scope": "viewer"}, "name"),
        ({"name": "x", "scope": "viewer", "node_id": "n"}, "node_id"),
        ({"name": "x", "scope": "viewer", "expires_in_s": 0}, "expires_in_s"),
    ):
        async with Unchanged(house):
            answer = await house.send("POST", "/api/v1/auth/tokens", body=body)
            assert (answer.status_code, answer.json()["field"]) == (400, field)


async def test_uses_of_tokens_are_noted(house: House) -> None:
    await house.get("/api/v1/tasks", who="viewer")
    used = house.services.authenticator.take_used()
    assert list(used.values()) == [house.clock.now_us()]
    assert house.services.authenticator.take_used() == {}


async def test_open_sockets_learn_that_their_credential_is_over(house: House) -> None:
    session = await login(house)
    made = await house.make("/api/v1/auth/tokens", {"name": "ci", "scope": "viewer"})
    authenticator = house.services.authenticator
    of_token = await authenticator.principal({b"authorization": f"Bearer {made['token']}".encode()})
    offered = f"runwatch.v1, runwatch.bearer.{session.json()['access_token']}"
    of_session = await authenticator.principal(
        {b"sec-websocket-protocol": offered.encode()}, socket=True
    )
    assert of_token is not None
    assert of_session is not None
    house.clock.advance(3600)
    assert (await authenticator.still_valid([of_token]))[0]
    assert (await authenticator.still_valid([of_session]))[0]
    await house.send("DELETE", f"/api/v1/auth/tokens/{made['id']}")
    again = await login(house)
    body = {"old_password": PASSWORD, "new_password": "battery staple"}
    await house.send("PUT", "/api/v1/auth/password", who=None, headers=bearer(again), body=body)
    assert not (await authenticator.still_valid([of_token]))[0]
    assert not (await authenticator.still_valid([of_session]))[0]


async def test_rates_are_bounded_a_credential_and_nodes_are_not() -> None:
    limits = Limits(reads_per_s=1, reads_burst=3, writes_per_s=1, writes_burst=2)
    async with open_house(limits=limits) as house:
        for method, path, burst in (("GET", "/api/v1/tasks", 3), ("POST", "/api/v1/tasks", 2)):
            statuses = [
                (await house.send(method, path, body=None)).status_code for _ in range(burst + 1)
            ]
            assert statuses[-1] == 429
            assert 429 not in statuses[:-1]
        refused = await house.send("GET", "/api/v1/tasks")
        assert refused.headers["retry-after"] == "1"
        assert (await house.send("GET", "/api/v1/tasks", who="viewer")).status_code == 200
        house.clock.advance(1)
        assert (await house.send("GET", "/api/v1/tasks")).status_code == 200
        for _ in range(10):
            await house.beat()
