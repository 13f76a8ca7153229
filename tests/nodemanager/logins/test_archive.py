"""An account's login packed and unpacked; what would lead elsewhere is refused whole."""

import io
import tarfile
from pathlib import Path

import pytest

from runwatch_nodemanager.logins.archive import ArchiveError, pack, unpack


def account(folder: Path) -> Path:
    place = folder / "accounts" / "a"
    (place / "home/.claude/projects").mkdir(parents=True)
    (place / "account.json").write_text("{}")
    (place / "home/.claude/.credentials.json").write_text("secret")
    (place / "home/.claude/projects/session.jsonl").write_text("long")
    (place / "home/.claude/link").symlink_to("/etc/passwd")
    (place / "home/other").write_text("not of the login")
    return place


def test_a_login_comes_back_as_it_was_without_what_is_not_its_own(tmp_path: Path) -> None:
    data = pack(account(tmp_path), ".claude")
    target = tmp_path / "there" / "a"
    unpack(data, target)
    found = sorted(p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file())
    assert found == ["account.json", "home/.claude/.credentials.json"]
    assert (target / "home/.claude/.credentials.json").read_text() == "secret"
    assert (target.stat().st_mode & 0o777) == 0o700


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../evil", tarfile.REGTYPE),
        ("/etc/evil", tarfile.REGTYPE),
        ("home/link", tarfile.SYMTYPE),
        ("home/hard", tarfile.LNKTYPE),
        ("home/device", tarfile.CHRTYPE),
        ("home/a/../../../evil", tarfile.REGTYPE),
    ],
)
def test_what_leads_elsewhere_is_refused_and_nothing_stays(
    tmp_path: Path, name: str, kind: bytes
) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        good = tarfile.TarInfo("account.json")
        archive.addfile(good, io.BytesIO(b""))
        member = tarfile.TarInfo(name)
        member.type = kind
        member.linkname = "/etc/passwd"
        archive.addfile(member)
    place = tmp_path / "accounts" / "a"
    with pytest.raises(ArchiveError):
        unpack(target.getvalue(), place)
    assert not place.exists()
    assert [p.name for p in place.parent.iterdir()] == []
    assert not (tmp_path / "evil").exists()


def test_what_is_no_archive_or_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pack(account(tmp_path / "source"), ".claude")
    monkeypatch.setattr("runwatch_nodemanager.logins.archive.MOST_BYTES", 5)
    for wrong in (b"", b"no archive", data[:40], data):
        with pytest.raises(ArchiveError):
            unpack(wrong, tmp_path / "accounts" / "a")
    with pytest.raises(ArchiveError):
        pack(account(tmp_path / "other"), ".claude")
