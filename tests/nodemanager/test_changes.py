"""What a run changed in its workspace is found, and nothing it planted there runs."""

import base64
import os
import subprocess
from pathlib import Path

import pytest

from runwatch_nodemanager.changes import report, tree
from runwatch_nodemanager.changes.before import MAX_FILE_BYTES, remember
from runwatch_nodemanager.changes.report import MAX_LISTED, find_changes
from runwatch_nodemanager.changes.tree import look, read_inside
from runwatch_nodemanager.redaction.redactor import Rules

SECRET = "".join(f"{n:02}-secret/" for n in range(20))


@pytest.fixture
def place(tmp_path):
    return tmp_path / "changes"


@pytest.fixture
def workspace(tmp_path):
    path = tmp_path / "work"
    path.mkdir()
    return path


def git(path, *arguments):
    environment = os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null"}
    names = ("-c", "user.name=a", "-c", "user.email=a@example.invalid")
    subprocess.run(["git", "-C", str(path), *names, *arguments], check=True, env=environment)


def found(place, *secrets):
    return find_changes(place, Rules(secrets))


def by_path(changes):
    return {change.path: change for change in changes.files}


@pytest.fixture(params=["folder", "clone"])
def written(request, workspace, place):
    """A workspace with files, remembered as a folder of the machine or as a clone."""
    (workspace / "sub").mkdir()
    (workspace / "kept").write_text("same\n")
    (workspace / "gone").write_text("bye\n")
    (workspace / "sub" / "text").write_text("one\ntwo\nthree\n")
    (workspace / "data").write_bytes(b"a\0b")
    if request.param == "clone":
        git(workspace, "init", "--quiet")
        git(workspace, "add", "-A")
        git(workspace, "commit", "--quiet", "-m", "one")
    remember(place, workspace, cloned=request.param == "clone")
    return workspace


def test_nothing_changed_is_nothing_told(written, place):
    changes = found(place)
    assert changes.files == []
    assert changes.artifacts() == {}
    assert changes.drafts() == []


def test_files_made_changed_and_removed_are_told_with_their_difference(written, place):
    (written / "sub" / "text").write_text("one\n2\nthree\n")
    (written / "gone").unlink()
    (written / "new file").write_text("hello\n")
    (written / "data").write_bytes(b"a\0c")
    changes = found(place)
    told = by_path(changes)
    assert {path: change.kind for path, change in told.items()} == {
        "sub/text": "modified",
        "gone": "deleted",
        "new file": "added",
        "data": "modified",
    }
    assert told["sub/text"].diff == (
        "--- a/sub/text\n+++ b/sub/text\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
    )
    assert told["sub/text"].lines_changed == 2
    assert told["new file"].diff == "--- /dev/null\n+++ b/new file\n@@ -0,0 +1 @@\n+hello\n"
    assert told["gone"].diff == "--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-bye\n"
    assert told["data"].diff is None
    listed = {
        artifact["path"]: artifact["size_bytes"] for artifact in changes.artifacts()["artifacts"]
    }
    assert listed == {"sub/text": 12, "new file": 6, "data": 3}
    assert {draft.type for draft in changes.drafts()} == {"file_write", "file_delete"}


def test_a_file_that_was_only_touched_is_not_changed(written, place):
    os.utime(written / "kept")
    assert found(place).files == []


def test_what_was_committed_meanwhile_counts_too(written, place):
    (written / "sub" / "text").write_text("one\n")
    if (written / ".git").exists():
        git(written, "commit", "--quiet", "-am", "two")
    assert list(by_path(found(place))) == ["sub/text"]


def test_the_second_look_tells_the_same_whatever_happened_since(written, place):
    (written / "new").write_text("1")
    first = found(place)
    (written / "new").write_text("other")
    (written / "later").write_text("2")
    assert found(place) == first


def test_what_stood_in_the_files_is_not_kept_once_the_changes_are_told(written, place):
    (written / "sub" / "text").write_text("other\n")
    found(place)
    assert not any(b"two" in path.read_bytes() for path in place.rglob("*/*") if path.is_file())
    assert {path.name for path in place.iterdir()} == {"before.json", "changes.json"}


def test_a_run_without_a_memory_of_its_workspace_tells_nothing(place):
    assert found(place) == report.Changes()


def test_secrets_are_in_no_difference_and_no_path(written, place):
    (written / "sub" / "text").write_text("one\npassword=hunter2-hunter2\n")
    (written / "hunter2-hunter2").write_text("x")
    changes = found(place, "hunter2-hunter2")
    assert "hunter2" not in repr(changes)
    assert b"hunter2" not in (place / "changes.json").read_bytes()


def test_a_secret_of_many_lines_is_in_no_difference(workspace, place):
    rows = [base64.b64encode(bytes([n]) * 48).decode() for n in range(20)]
    ends = [f"-----{word} RSA PRIVATE KEY-----" for word in ("BEGIN", "END")]
    key = "\n".join([ends[0], *rows, ends[1], ""])
    wrapped = base64.encodebytes(SECRET.encode()).decode()
    (workspace / "gone").write_text(key + wrapped)
    (workspace / "changed").write_text("a\n" + key + wrapped)
    remember(place, workspace, cloned=False)
    (workspace / "gone").unlink()
    (workspace / "changed").write_text("b\n" + key)
    (workspace / "made").write_text(key + wrapped)
    told = "".join(change.diff or "" for change in found(place, SECRET).files)
    assert told.count("***") >= 3
    assert not any(row in told for row in (*rows, *wrapped.splitlines()))


def test_symbolic_links_lead_nowhere(written, place, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("outside\n")
    (written / "link").symlink_to(outside / "secret")
    (written / "folder").symlink_to(outside)
    (written / "sub" / "text").unlink()
    (written / "sub" / "text").symlink_to(outside / "secret")
    changes = found(place)
    told = by_path(changes)
    assert told["link"].kind == "added"
    assert told["link"].diff is None
    assert told["sub/text"].diff is None
    assert "folder/secret" not in told
    assert "outside\n" not in repr(changes)


def test_a_workspace_replaced_by_a_link_has_no_files(workspace, place, tmp_path):
    (workspace / "one").write_text("1")
    remember(place, workspace, cloned=False)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "other").write_text("2")
    workspace.rename(tmp_path / "moved")
    workspace.symlink_to(outside)
    assert {change.path for change in found(place).files} == {"one"}


@pytest.mark.parametrize("path", ["link/secret", "link", "../outside/secret", "pipe", "none"])
def test_only_regular_files_inside_are_read(workspace, tmp_path, path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x")
    (workspace / "link").symlink_to(outside)
    os.mkfifo(workspace / "pipe")
    inside = read_inside(workspace, path, 100)
    assert inside is None or path.startswith("..")
    assert "outside" not in str(look(workspace).files)


def test_nothing_that_a_run_planted_runs_when_its_changes_are_looked_for(written, place, tmp_path):
    ran = tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    script.chmod(0o755)
    (written / ".git" / "hooks").mkdir(parents=True, exist_ok=True)
    (written / ".git" / "config").write_text(
        f"[core]\n\tfsmonitor = {script}\n\thooksPath = {tmp_path}\n\tpager = {script}\n"
        f'[diff]\n\texternal = {script}\n[diff "x"]\n\ttextconv = {script}\n'
        f'[filter "x"]\n\tclean = {script}\n\tsmudge = {script}\n\tprocess = {script}\n'
    )
    (written / ".gitattributes").write_text("* filter=x diff=x\n")
    (written / "sub" / "text").write_text("other\n")
    changes = found(place)
    assert "+other\n" in (by_path(changes)["sub/text"].diff or "")
    assert not ran.exists()


def test_an_agent_that_removes_its_repository_hides_nothing(written, place):
    subprocess.run(["rm", "-rf", str(written / ".git")], check=True)
    (written / "sub" / "text").write_text("other\n")
    assert "-two\n" in (by_path(found(place))["sub/text"].diff or "")


@pytest.mark.parametrize("name", ["a b", "new\nline", 'quo"te', "-x", "ünï", "@@", "diff --git a"])
def test_names_of_any_kind_are_told(written, place, name):
    (written / name).write_text("x\n")
    changes = found(place)
    assert by_path(changes)[name].diff is not None


def test_a_name_that_is_no_text_is_told_with_escapes(written, place):
    Path(os.fsdecode(os.fsencode(written) + b"/\xff")).write_text("x")
    assert list(by_path(found(place))) == ["\\xff"]


def test_many_and_large_changes_are_counted_and_cut(workspace, place):
    remember(place, workspace, cloned=False)
    for number in range(MAX_LISTED * 2 + 50):
        (workspace / f"{number:04}").write_text("line\n" * 20)
    (workspace / "0000").write_text("x" * 60 + "\n" + "long line\n" * 20_000)
    (workspace / "0001").write_text("y" * (MAX_FILE_BYTES + 1))
    changes = found(place)
    assert len(changes.files) == MAX_LISTED
    assert changes.omitted == MAX_LISTED + 50
    assert changes.artifacts()["artifacts_omitted"] == MAX_LISTED + 50
    told = by_path(changes)
    assert told["0000"].truncated
    assert told["0000"].lines_changed == 20_001
    assert told["0001"].diff is None
    assert sum(len(change.diff or "") for change in changes.files) <= report.MAX_DIFFS_CHARS
    assert len(changes.drafts()) == report.MAX_TOLD


def test_a_workspace_of_too_many_files_is_said_to_be_unknown(workspace, place, monkeypatch):
    monkeypatch.setattr(tree, "MAX_FILES", 3)
    for number in range(5):
        (workspace / str(number)).write_text("x")
    remember(place, workspace, cloned=False)
    changes = found(place)
    assert not changes.complete
    assert [draft.payload["code"] for draft in changes.drafts()] == ["changes_unknown"]


def test_folders_of_tools_are_left_out(workspace, place):
    remember(place, workspace, cloned=False)
    (workspace / "node_modules" / "x").mkdir(parents=True)
    (workspace / "node_modules" / "x" / "y").write_text("x")
    assert found(place).files == []
