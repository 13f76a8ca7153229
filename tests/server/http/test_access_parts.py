"""The parts of access by themselves: token texts, rates, names of hosts, forwarding."""

import asyncio
import string
import threading
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runwatch_server.access.forwarding import Forwarding
from runwatch_server.access.origins import host_name, is_loopback
from runwatch_server.access.passwords import THREADS, WAITING, Passwords
from runwatch_server.access.rates import Buckets, Failures
from runwatch_server.access.sessions import Signer, load_key
from runwatch_server.access.tokens import make_token, read_token
from runwatch_server.rows import SessionRow, UserRow
from runwatch_shared.errors import OverloadedError, RefusedError, SettingsError
from tests.server.http.house import CHEAP, SCOPES

TOKEN = make_token("operator")


def test_a_token_is_read_back_and_its_secret_is_not_in_what_is_kept() -> None:
    for scope in SCOPES:
        made = make_token(scope)
        read = read_token(made.text)
        assert read == made
        secret = made.text.split("_")[3]
        assert secret not in repr(made)
        assert secret not in made.secret_sha256
        assert len(secret) == 43


@given(
    place=st.integers(0, len(TOKEN.text) - 1),
    character=st.sampled_from(string.ascii_letters + string.digits + "_-. "),
)
def test_a_token_with_another_character_is_none(place: int, character: str) -> None:
    changed = TOKEN.text[:place] + character + TOKEN.text[place + 1 :]
    assert (read_token(changed) is None) == (changed != TOKEN.text)


@given(st.text())
def test_no_other_text_is_a_token(text: str) -> None:
    assert read_token(text) is None


@given(
    waits=st.lists(st.floats(0, 5), max_size=60),
    per_s=st.integers(1, 20),
    burst=st.integers(1, 20),
)
@example(waits=[0.17698510738323628, 1.3909214772431369, 0.0], per_s=1, burst=1)
def test_a_bucket_never_gives_more_than_its_burst_and_its_rate(
    waits: list[float], per_s: int, burst: int
) -> None:
    buckets = Buckets(per_s, burst)
    now_s, given_away = 0.0, 0
    for wait_s in waits:
        now_s += wait_s
        refused = refusal(buckets, now_s)
        if refused is not None:
            # Another caller is not concerned, and who waits as told is let in.
            assert refusal(buckets, now_s, "other") is None
            now_s += refused
            assert refusal(buckets, now_s) is None
            given_away += 1
            break
        given_away += 1
    assert given_away <= burst + now_s * per_s + 1e-6


def refusal(buckets: Buckets, now_s: float, caller: str = "caller") -> int | None:
    """The seconds to wait; None for who was let in."""
    try:
        buckets.take(caller, now_s)
    except RefusedError as error:
        return error.retry_after_s or 0
    return None


def test_callers_are_forgotten_before_they_are_too_many() -> None:
    buckets = Buckets(1, 1, most=3)
    for number in range(10):
        buckets.take(str(number), 0)
    buckets.take("0", 0)
    with pytest.raises(RefusedError):
        buckets.take("9", 0)
    failures = Failures(1, most=3)
    for number in range(10):
        failures.add((str(number), ""), 0)
    failures.check(("0", ""), 0)
    with pytest.raises(RefusedError):
        failures.check(("9", ""), 59)
    failures.check(("9", ""), 61)


@pytest.mark.parametrize(
    ("host", "name", "loopback"),
    [
        ("localhost", "localhost", True),
        ("LOCALHOST:80", "localhost", True),
        ("127.0.0.1:8080", "127.0.0.1", True),
        ("127.255.1.2", "127.255.1.2", True),
        ("[::1]:8080", "::1", True),
        ("::1", "::1", True),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1", False),
        ("localhost.", "localhost.", False),
        ("0.0.0.0", "0.0.0.0", False),
        ("0x7f000001", "0x7f000001", False),
        ("2130706433", "2130706433", False),
        ("127.1", "127.1", False),
        ("example.org:443", "example.org", False),
        ("", "", False),
    ],
)
def test_only_this_machines_own_names_are_loopback(host: str, name: str, loopback: bool) -> None:
    assert host_name(host) == name
    assert is_loopback(name) == loopback


def forwarded(trusted: list[str], chain: str, client: str = "10.0.0.1") -> Any:
    scope = {
        "type": "http",
        "client": (client, 1),
        "scheme": "http",
        "headers": [(b"x-forwarded-for", chain.encode()), (b"host", b"inner")],
    }
    Forwarding(trusted).apply(scope)
    return scope["client"]


def test_the_client_is_the_last_hop_no_trusted_proxy_stands_for() -> None:
    assert forwarded(["10.0.0.0/8"], "6.6.6.6, 9.9.9.9, 10.0.0.2")[0] == "9.9.9.9"
    assert forwarded(["10.0.0.0/8"], "10.0.0.9")[0] == "10.0.0.9"
    assert forwarded([], "9.9.9.9")[0] == "10.0.0.1"
    assert forwarded(["10.0.0.0/8"], "9.9.9.9", client="11.0.0.1")[0] == "11.0.0.1"
    with pytest.raises(SettingsError, match="trusted_proxies"):
        Forwarding(["not an address"])


def test_a_sessions_token_is_of_one_key_and_no_other_algorithm(tmp_path: Any) -> None:
    user = UserRow(
        id="user-1",
        email="a@b.c",
        username="a",
        role="user",
        scope="viewer",
        password_hash="",
        created_us=0,
        updated_us=0,
    )
    session = SessionRow(id="sess-1", user_id="user-1", created_us=0, expires_us=10**15)
    text = Signer("k" * 32).sign(user, session, "access", 0)
    claims = Signer("k" * 32).read(text)
    assert claims is not None
    assert (claims.sid, claims.exp) == ("sess-1", 900)
    assert Signer("l" * 32).read(text) is None
    header, body, _ = text.split(".")
    none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    assert Signer("k" * 32).read(f"{none}.{body}.") is None
    assert Signer("k" * 32).read(f"{header}.{body}.AAAA") is None
    key = load_key(tmp_path, "")
    assert load_key(tmp_path, "") == key
    assert (tmp_path / "jwt-secret").stat().st_mode & 0o777 == 0o600
    with pytest.raises(SettingsError, match="jwt_secret"):
        load_key(tmp_path, "short")


async def test_logins_beyond_the_bound_are_told_to_come_back() -> None:
    passwords = Passwords(CHEAP)
    gate = threading.Event()

    def wait(*_: str) -> bool:
        return gate.wait(5)

    waiting = [
        asyncio.ensure_future(passwords._run(wait))  # noqa: TID251 - awaited below
        for _ in range(THREADS + WAITING)
    ]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await passwords.verify(None, "x")
    gate.set()
    assert all(await asyncio.gather(*waiting))
    stored = await passwords.hash("a password")
    assert await passwords.verify(stored, "a password")
    assert not await passwords.verify(stored, "another")
    assert not await passwords.verify(None, "nobody has this password")
    assert not await passwords.verify("no hash at all", "x")
    passwords.close()
