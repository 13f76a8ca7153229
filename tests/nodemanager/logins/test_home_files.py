"""What an agent may put into its account's home: links, pipes and devices lead nowhere."""

import gzip
import io
import json
import os
import tarfile
from pathlib import Path

import msgspec
import pytest

from runwatch_nodemanager.identity import NodeFolder
from runwatch_nodemanager.logins.archive import ArchiveError, pack, unpack
from runwatch_nodemanager.logins.home_files import read_file, remove_file, write_file
from runwatch_nodemanager.logins.install import install
from runwatch_nodemanager.logins.kept_account import Accounts, Record
from runwatch_nodemanager.logins.keys import KEEPERS, has_key, keep_key, without_key

KEY = "sk-canary-0123456789abcdef"
ADA = Record(id="claude-code_ada", agent_type="claude-code", method="oauth", logged_in_at_us=1)
CREDENTIAL = '{"claudeAiOauth":{"accessToken":"theirs-0123456789","refreshToken":"r"}}'


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """The login of this machine's user, which is nobody else's business."""
    folder = tmp_path / "user" / ".claude"
    folder.mkdir(parents=True)
    (folder / ".credentials.json").write_text(CREDENTIAL)
    (folder / "settings.json").write_text('{"model":"theirs"}')
    return folder


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(NodeFolder(tmp_path / "node"))


def test_a_folder_that_is_a_link_is_no_login_and_is_not_packed(
    accounts: Accounts, others: Path
) -> None:
    account = accounts.keep(ADA)
    (account.home / ".claude").symlink_to(others)
    assert account.worth(2) == ("missing", None)
    assert account.secrets() == []
    data = pack(account.home.parent, ".claude")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getnames() == ["account.json"]


def test_a_file_that_is_a_link_is_no_login(accounts: Accounts, others: Path) -> None:
    account = accounts.keep(ADA)
    (account.home / ".claude").mkdir()
    (account.home / ".claude/.credentials.json").symlink_to(others / ".credentials.json")
    assert account.worth(2) == ("missing", None)


@pytest.mark.parametrize("agent_type", KEEPERS)
def test_a_key_is_not_written_through_a_link(tmp_path: Path, others: Path, agent_type: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    before = {path.name: path.read_bytes() for path in others.iterdir()}
    for name in (".claude", ".codex", ".gemini", ".qwen"):
        (home / name).symlink_to(others)
    with pytest.raises(OSError, match="Not a directory"):
        keep_key(home, agent_type, KEY)
    without_key(home, agent_type)
    assert not has_key(home, agent_type)
    assert {path.name: path.read_bytes() for path in others.iterdir()} == before


def test_a_link_where_the_new_file_is_written_first_is_not_followed(
    tmp_path: Path, others: Path
) -> None:
    folder = tmp_path / "home" / ".claude"
    folder.mkdir(parents=True)
    (folder / "settings.json.new").symlink_to(others / "settings.json")
    keep_key(tmp_path / "home", "claude-code", KEY)
    assert json.loads((folder / "settings.json").read_text())["env"]["ANTHROPIC_API_KEY"] == KEY
    assert (others / "settings.json").read_text() == '{"model":"theirs"}'


def test_a_login_is_not_taken_from_behind_a_link(
    accounts: Accounts, tmp_path: Path, others: Path
) -> None:
    staged = tmp_path / "staged"
    staged.mkdir()
    (staged / ".claude").symlink_to(others)
    account = install(accounts, ADA, staged, now_us=2)
    assert not (account.home / ".claude/.credentials.json").exists()


def test_a_pipe_and_a_device_are_not_waited_for(accounts: Accounts) -> None:
    account = accounts.keep(ADA)
    (account.home / ".claude").mkdir()
    os.mkfifo(account.home / ".claude/.credentials.json")
    (account.home / ".claude/settings.json").symlink_to("/dev/zero")
    assert account.worth(2) == ("missing", None)
    assert account.secrets() == []
    with tarfile.open(fileobj=io.BytesIO(pack(account.home.parent, ".claude"))) as archive:
        assert archive.getnames() == ["account.json"]


def test_two_names_of_one_file_come_back_as_two_files(accounts: Accounts, tmp_path: Path) -> None:
    account = accounts.keep(ADA)
    (account.home / ".claude").mkdir()
    (account.home / ".claude/a").write_text("same")
    os.link(account.home / ".claude/a", account.home / ".claude/b")
    place = tmp_path / "there" / ADA.id
    unpack(pack(account.home.parent, ".claude"), place)
    assert (place / "home/.claude/b").read_text() == "same"


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a/../../outside"])
def test_names_lead_to_nothing_outside(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    (home / "a").mkdir(parents=True)
    (tmp_path / "outside").write_text("kept")
    assert read_file(home, name) is None
    with pytest.raises(FileNotFoundError, match="not in the home"):
        write_file(home, name, b"x")
    remove_file(home, name)
    assert (tmp_path / "outside").read_text() == "kept"


@pytest.mark.parametrize("wrong", ["claude-code_bob", "../../other", ""])
def test_a_record_of_another_account_is_none(accounts: Accounts, wrong: str) -> None:
    account = accounts.keep(ADA)
    record = msgspec.structs.replace(ADA, id=wrong)
    (account.home.parent / "account.json").write_bytes(msgspec.json.encode(record))
    assert accounts.get(ADA.id) is None
    assert list(accounts.all()) == []


def test_an_archive_that_unpacks_to_more_than_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runwatch_nodemanager.logins.archive.MOST_TAR_BYTES", 64 * 1024)
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("account.json")
        # Not a member's size, which is looked at before, but a header's, which is read whole.
        member.pax_headers = {"comment": "x" * 200_000}
        archive.addfile(member, io.BytesIO(b""))
    with pytest.raises(ArchiveError, match="too large"):
        unpack(gzip.compress(target.getvalue()), tmp_path / "accounts" / "a")
    assert not (tmp_path / "accounts" / "a").exists()
