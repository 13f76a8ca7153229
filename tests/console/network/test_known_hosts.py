import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_console.known_hosts import KnownHosts, KnownHostsError
from runwatch_console.pins import (
    Pin,
    PinKind,
    fingerprint_of,
    is_fingerprint,
    same_fingerprint,
)

PINS = st.builds(
    Pin,
    kind=st.sampled_from(PinKind),
    certificate=st.binary(min_size=1, max_size=600),
)
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z]{2,5})?", fullmatch=True)
PORTS = st.integers(min_value=1, max_value=65535)
COMMENTS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=30)
)


def pin(text: str = "x") -> Pin:
    return Pin(kind=PinKind.AUTHORITY, certificate=text.encode())


@given(hosts=st.dictionaries(st.tuples(NAMES, PORTS), PINS, max_size=8), comments=COMMENTS)
def test_what_was_added_is_found_and_nothing_else_changes(
    tmp_path_factory: pytest.TempPathFactory,
    hosts: dict[tuple[str, int], Pin],
    comments: list[str],
) -> None:
    path = tmp_path_factory.mktemp("home") / "known_hosts"
    before = "".join(f"# {comment}\n" for comment in comments)
    path.write_text(before, encoding="utf-8")
    path.chmod(0o600)
    known = KnownHosts(path)
    for (host, port), each in hosts.items():
        known.add(host, port, each)
        known.add(host.upper(), port, each)
    text = path.read_text(encoding="utf-8")
    assert text.startswith(before)
    assert len(text.splitlines()) <= len(comments) + len(hosts) + 1
    for (host, port), each in hosts.items():
        found = known.find(host, port)
        assert found is not None
        assert found.pin == each
        assert each.fingerprint in text.splitlines()[found.line - 1]
    for host, port in hosts:
        assert known.remove(host, port)
        assert known.find(host, port) is None
        assert not known.remove(host, port)
    assert path.read_text(encoding="utf-8").startswith(before)


def test_the_file_is_for_its_owner_alone_and_a_link_stays_one(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "hosts"
    real.parent.mkdir()
    link = tmp_path / "known_hosts"
    link.symlink_to(real)
    KnownHosts(link).add("box", 8080, pin())
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert os.listdir(real.parent) == ["hosts"]


def test_another_pin_never_takes_the_place_of_one(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    known.add("box", 8080, pin("a"))
    with pytest.raises(KnownHostsError, match="known_hosts:2"):
        known.add("box", 8080, pin("b"))
    found = known.find("box", 8080)
    assert found is not None
    assert found.pin == pin("a")


def test_a_port_and_an_address_are_servers_of_their_own(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    known.add("::1", 8080, pin("a"))
    known.add("box", 1, pin("b"))
    assert known.find("box", 2) is None
    assert known.find("box.example", 1) is None
    assert known.find("::1", 8080) is not None
    assert "[::1]:8080 ca " in known.path.read_text()


def test_two_that_add_at_once_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "new" / "known_hosts"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda port: KnownHosts(path).add("box", port, pin()), range(1, 33)))
    assert all(KnownHosts(path).find("box", port) is not None for port in range(1, 33))


def test_bytes_that_are_no_text_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_bytes(b"# \xff\xfe\nno end")
    KnownHosts(path).add("box", 1, pin())
    assert path.read_bytes().startswith(b"# \xff\xfe\nno end\nbox:1 ca ")


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_others_can_write_is_not_used(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "known_hosts"
    path.touch()
    path.chmod(mode)
    with pytest.raises(KnownHostsError, match="chmod 600"):
        KnownHosts(path).find("box", 1)
    with pytest.raises(KnownHostsError, match="chmod 600"):
        KnownHosts(path).add("box", 1, pin())


def test_what_cannot_be_read_or_written_is_said(tmp_path: Path) -> None:
    directory = tmp_path / "known_hosts"
    directory.mkdir()
    with pytest.raises(KnownHostsError, match="directory"):
        KnownHosts(directory).find("box", 1)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(KnownHostsError, match=str(file)):
        KnownHosts(file / "known_hosts").add("box", 1, pin())


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.touch(mode=0o600)
    os.truncate(path, 5 * 1024 * 1024)
    with pytest.raises(KnownHostsError, match="longer"):
        KnownHosts(path).find("box", 1)


def test_a_fingerprint_is_the_same_however_it_is_written() -> None:
    whole = fingerprint_of(b"x")
    digits = whole.removeprefix("SHA256:")
    for other in (digits, digits.replace(":", ""), digits.lower(), f" sha256:{digits} "):
        assert is_fingerprint(other)
        assert same_fingerprint(whole, other)
    assert not same_fingerprint(whole, digits[:-1])
    assert not same_fingerprint("", "")
    assert not is_fingerprint("SHA256:" + "z" * 64)
    assert not same_fingerprint("z" * 64, "z" * 64)
