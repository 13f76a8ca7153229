"""The question whether a server is to be trusted, and the bar of one that changed."""

from pathlib import Path

import pytest

from runwatch_console.known_hosts import KnownHosts
from runwatch_console.pins import OfferedCertificate, Pin, PinKind
from runwatch_console.ports import Disconnected, LossReason
from runwatch_console.statustext import in_two_lines
from tests.console.driving import Driven, console

PIN = Pin(kind=PinKind.AUTHORITY, certificate=b"of an authority")


def loss(home: Path, *, kind: PinKind = PinKind.AUTHORITY, askable: bool = True) -> Disconnected:
    pin = Pin(kind=kind, certificate=PIN.certificate)
    offered = OfferedCertificate(
        host="127.0.0.1",
        port=8080,
        leaf=b"leaf",
        pin=pin,
        known_hosts=str(home / "known_hosts"),
        may_be_trusted=askable,
    )
    return Disconnected(
        reason=LossReason.UNTRUSTED_CERTIFICATE,
        detail="self-signed certificate in certificate chain",
        fingerprint=pin.fingerprint,
        offered=offered,
    )


async def asked(driven: Driven, lost: Disconnected) -> None:
    driven.script.feed.say(lost)
    await driven.until(lambda: not driven.app.at_screen)
    await driven.pilot.pause()


@pytest.mark.requirement("state.untrusted")
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", list(PinKind))
async def test_the_whole_fingerprint_and_how_to_compare_it_are_on_the_screen(
    tmp_path: Path, size: tuple[int, int], language: str, kind: PinKind
) -> None:
    async with console(size, fleet=False, language=language) as driven:
        await asked(driven, loss(tmp_path, kind=kind))
        for line in in_two_lines(PIN.fingerprint).split("\n"):
            assert driven.line_with(line.strip())
        file = "ca.pem" if kind is PinKind.AUTHORITY else "cert.pem"
        for part in ("127.0.0.1:8080", "monitor-server fingerprint", f"tls/{file}", "y ", "n "):
            assert part in driven.text


async def test_yes_is_remembered_and_the_next_attempt_begins(tmp_path: Path) -> None:
    async with console(fleet=False) as driven:
        await asked(driven, loss(tmp_path))
        await driven.pass_time(1)
        await driven.press("y")
        await driven.until(lambda: driven.script.feed.retries == 1)
        found = KnownHosts(tmp_path / "known_hosts").find("127.0.0.1", 8080)
        assert found is not None
        assert found.pin == PIN


@pytest.mark.parametrize("key", ["n", "escape"])
async def test_no_remembers_nothing_and_r_asks_again(tmp_path: Path, key: str) -> None:
    async with console(fleet=False) as driven:
        await asked(driven, loss(tmp_path))
        await driven.pass_time(1)
        await driven.press(key)
        await driven.until(lambda: driven.app.at_screen)
        await driven.until_text("r asks whether to trust it", "CERTIFICATE NOT TRUSTED")
        assert driven.script.feed.retries == 0
        assert not (tmp_path / "known_hosts").exists()
        await driven.press("r")
        await driven.until(lambda: driven.script.feed.retries == 1)
        await asked(driven, loss(tmp_path))


async def test_neither_enter_nor_a_key_that_was_on_its_way_is_a_yes(tmp_path: Path) -> None:
    async with console(fleet=False) as driven:
        await asked(driven, loss(tmp_path))
        await driven.press("y")
        await driven.pass_time(1)
        await driven.press("enter", "space", "Y")
        await driven.pilot.pause(0.05)
        assert not driven.app.at_screen
        assert driven.script.feed.retries == 0
        assert not (tmp_path / "known_hosts").exists()


async def test_nobody_who_types_is_interrupted(tmp_path: Path) -> None:
    async with console(fleet=False) as driven:
        await driven.press("colon", "r", "u")
        await driven.until(lambda: driven.app.typing)
        driven.script.feed.say(loss(tmp_path))
        await driven.until_text("r asks whether to trust it")
        assert driven.app.at_screen
        await driven.press("y")
        assert driven.app.at_screen
        assert not (tmp_path / "known_hosts").exists()


async def test_what_trust_cannot_mend_is_not_asked(tmp_path: Path) -> None:
    async with console((80, 24), fleet=False) as driven:
        driven.script.feed.say(loss(tmp_path, askable=False))
        await driven.until_text("CERTIFICATE NOT TRUSTED", "Trust would not mend this")
        assert driven.app.at_screen


async def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").touch(mode=0o666)
    (tmp_path / "known_hosts").chmod(0o666)
    async with console(fleet=False) as driven:
        await asked(driven, loss(tmp_path))
        await driven.pass_time(1)
        await driven.press("y")
        await driven.until_text("chmod 600")
        assert driven.script.feed.retries == 0


@pytest.mark.requirement("state.untrusted")
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_a_changed_certificate_is_a_bar_with_both_fingerprints_and_never_a_question(
    size: tuple[int, int], language: str
) -> None:
    now = Pin(kind=PinKind.AUTHORITY, certificate=b"another")
    changed = Disconnected(
        reason=LossReason.CHANGED_CERTIFICATE,
        detail="self-signed certificate in certificate chain",
        fingerprint=now.fingerprint,
        known_fingerprint=PIN.fingerprint,
        known_place="/home/me/.config/runwatch/known_hosts:3",
    )
    async with console(size, fleet=False, language=language) as driven:
        driven.script.feed.say(changed)
        await driven.until_text("known_hosts:3")
        for fingerprint in (now.fingerprint, PIN.fingerprint):
            for line in in_two_lines(fingerprint).split("\n"):
                assert driven.line_with(line.strip())
        assert "monitor-tui trust" in driven.text
        await driven.press("y")
        assert driven.app.at_screen
