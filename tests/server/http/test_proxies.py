"""Proxies over HTTP: their life, what is never shown, tests from the server (contract 14)."""

from typing import Any

import pytest

from tests.proxying import HOST, http_proxy, socks5_proxy, target
from tests.server.http.house import House, open_house

PATH = "/api/v1/proxies"
PASSWORD = "pass-4711/abc"


async def made(house: House, **fields: Any) -> Any:
    return await house.make(PATH, {"name": "p", "host": "proxy.corp", **fields})


async def test_a_proxy_is_made_read_changed_and_deleted(house: House) -> None:
    row = await made(
        house, type="https", port=3128, username="ann", password=PASSWORD, no_proxy=".corp"
    )
    assert row["id"].startswith("proxy-")
    assert (row["type"], row["host"], row["port"], row["username"]) == (
        *("https", "proxy.corp", 3128, "ann"),
    )
    assert (row["is_default"], row["status"], row["no_proxy"]) == (False, "active", ".corp")
    path = f"{PATH}/{row['id']}"
    assert await house.get(path, who="viewer") == row
    listed = await house.get(PATH, who="viewer")
    assert listed == {"proxies": [row], "count": 1}
    changed = await house.send("PUT", path, body={"port": 8080, "no_proxy": None})
    assert changed.status_code == 200
    assert (changed.json()["port"], changed.json()["username"]) == (8080, "ann")
    assert "no_proxy" not in changed.json()
    gone = await house.send("DELETE", path)
    assert (gone.status_code, "message" in gone.json()) == (200, True)
    for method, more in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/test")):
        answer = await house.send(method, path + more, body={})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), method


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"url": "http://proxy.corp:3128"}, ("http", "proxy.corp", 3128, None)),
        ({"url": "proxy.corp:3128", "protocol": "https"}, ("https", "proxy.corp", 3128, None)),
        ({"url": "socks5://a%40b:p@10.0.0.1"}, ("socks5", "10.0.0.1", 1080, "a@b")),
        ({"url": "socks5h://proxy.corp"}, ("socks5", "proxy.corp", 1080, None)),
        ({"url": "http://[fd00::1]:81/"}, ("http", "fd00::1", 81, None)),
        ({"host": "Proxy.Corp."}, ("http", "proxy.corp", 80, None)),
        ({"url": "http://x.corp", "protocol": "socks5"}, ("socks5", "x.corp", 1080, None)),
    ],
)
async def test_the_spelling_of_other_clients_is_taken(
    house: House, given: dict[str, Any], meant: tuple[Any, ...]
) -> None:
    row = await house.make(PATH, {"name": "Office", **given})
    assert (row["type"], row["host"], row["port"], row.get("username")) == meant
    again = await house.send("PUT", f"{PATH}/{row['id']}", body={"url": "http://other:81"})
    assert (again.json()["host"], again.json()["port"], again.json()["name"]) == (
        *("other", 81, "Office"),
    )


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"name": None}, "invalid_field", "name"),
        ({"name": " "}, "invalid_field", "name"),
        ({"name": "a\x1b[2J"}, "invalid_field", "name"),
        ({"host": "a b"}, "invalid_field", "host"),
        ({"host": "fe80::1%eth0"}, "invalid_field", "host"),
        ({"host": "http://a"}, "invalid_field", "host"),
        ({"port": 0}, "invalid_field", "port"),
        ({"port": 65536}, "invalid_field", "port"),
        ({"type": "ftp"}, "invalid_value", "type"),
        ({"status": "odd"}, "invalid_value", "status"),
        ({"url": "ftp://a"}, "invalid_field", "url"),
        ({"url": "http://a/path"}, "invalid_field", "url"),
        ({"url": "http://"}, "invalid_field", "url"),
        ({"username": "a\r\nb"}, "invalid_field", "username"),
        ({"username": "u" * 300}, "invalid_field", "username"),
        ({"username": "u", "password": ""}, "invalid_field", "password"),
        ({"no_proxy": "a\nb"}, "invalid_field", "no_proxy"),
    ],
)
async def test_what_does_not_fit_is_refused_by_its_field(
    house: House, fields: dict[str, Any], code: str, field: str
) -> None:
    body = {"name": "p", "host": "proxy.corp", **fields}
    answer = await house.send("POST", PATH, body={k: v for k, v in body.items() if v is not None})
    if fields == {"name": None}:
        assert (answer.status_code, answer.json()["code"]) == (400, "missing_field")
        return
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (400, code, field)
    assert (await house.get(PATH))["count"] == 0


async def test_there_is_one_default_at_most(house: House) -> None:
    first = await made(house, is_default=True)
    house.clock.advance(1)  # they are listed as they were made
    second = await made(house, is_default=True)
    rows = (await house.get(PATH))["proxies"]
    assert [row["is_default"] for row in rows] == [False, True]
    await house.send("PUT", f"{PATH}/{first['id']}", body={"is_default": True})
    rows = (await house.get(PATH))["proxies"]
    assert {row["id"]: row["is_default"] for row in rows} == {
        first["id"]: True,
        second["id"]: False,
    }


@pytest.mark.parametrize("who", ["viewer", "operator", "node", None])
async def test_only_administrators_change_and_test_proxies(house: House, who: str | None) -> None:
    row = await made(house)
    status = 401 if who is None else 403
    for method, path in (
        ("POST", PATH),
        ("PUT", f"{PATH}/{row['id']}"),
        ("DELETE", f"{PATH}/{row['id']}"),
        ("POST", f"{PATH}/{row['id']}/test"),
    ):
        assert (await house.send(method, path, who=who, body={})).status_code == status


async def test_its_password_is_nowhere_but_sealed(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    row = await made(house, username="ann", password=PASSWORD)
    url = f"http://ann:{PASSWORD.replace('/', '%2F')}@proxy.corp"
    await house.send("PUT", f"{PATH}/{row['id']}", body={"url": url})
    await house.send("PUT", f"{PATH}/{row['id']}", body={"password": "***", "port": 1})
    await house.send("POST", PATH, body={"name": "q", "url": f"ftp://ann:{PASSWORD}@x"})
    shown = [await house.get(PATH), await house.get(f"{PATH}/{row['id']}")]
    stored = await house.everything()
    everything = f"{shown} {stored} {caplog.text} {await house.metrics()}"
    assert PASSWORD not in everything
    assert "[proxy]" in caplog.text or "proxy" in caplog.text
    assert "***" not in str(shown), "not even that there is one"


async def test_a_proxy_is_tested_from_the_server_six_times_a_minute() -> None:
    async with (
        open_house(proxy_test_allow=[HOST]) as house,
        target(status=204) as there,
        http_proxy(login=f"ann:{PASSWORD}") as seen,
    ):
        row = await made(house, host=HOST, port=seen.port, username="ann", password=PASSWORD)
        path, body = f"{PATH}/{row['id']}/test", {"target_url": f"http://{HOST}:{there.port}/"}
        answer = (await house.send("POST", path, body=body)).json()
        assert (answer["success"], answer["status_code"]) == (True, 204)
        assert answer["latency_ms"] >= 0
        assert seen.logins == [f"ann:{PASSWORD}"]
        for _ in range(5):
            assert (await house.send("POST", path, body=body)).status_code == 200
        refused = await house.send("POST", path, body=body)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert refused.headers["Retry-After"]
        house.clock.advance(10)
        assert (await house.send("POST", path, body=body)).status_code == 200


async def test_what_leads_inside_is_refused_and_not_contacted(house: House) -> None:
    async with target() as there, socks5_proxy() as seen:
        row = await made(house, type="socks5", host=HOST, port=seen.port)
        path = f"{PATH}/{row['id']}/test"
        for url in (
            f"http://{HOST}:{there.port}/",
            "http://169.254.169.254/",
            "http://2130706433/",
        ):
            answer = (await house.send("POST", path, body={"target_url": url})).json()
            assert answer["success"] is False
            assert "must not be contacted" in answer["message"]
        assert (seen.asked, there.asked) == ([], [])
    for url in ("file:///etc/passwd", "http://u:p@a/", "gopher://a", ""):
        answer = await house.send("POST", path, body={"target_url": url})
        assert (answer.status_code, answer.json()["field"]) == (400, "target_url")
