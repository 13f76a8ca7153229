"""Through a whole node: secrets that leave it nowhere, workspaces whose changes are reported."""

import json
import os
import subprocess

import pytest

from tests.nodemanager.test_runs_on_a_node import payloads, stdout_of

SECRET = "hunter2-hunter2"
RUN = "run-000000000001"


def git(path, *arguments):
    environment = os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null"}
    names = ("-c", "user.name=a", "-c", "user.email=a@example.invalid")
    subprocess.run(["git", "-C", str(path), *names, *arguments], check=True, env=environment)


def files_with(folder, text):
    """Files below ``folder`` that hold the text, but for those of workspaces."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and "workspaces" not in path.parts and text in path.read_bytes()
    ]


async def test_a_secret_is_in_no_file_and_no_event(server, new_node, tmp_path):
    script = 'echo "it is $API and argument $1"; echo "err $API" >&2; exit 7'
    server.add(
        RUN,
        ["sh", "-c", script, "sh", SECRET],
        prompt=f"say {SECRET}",
        snapshot={"env": {"API": SECRET}, "name": f"name {SECRET}"},
    )
    run = server.runs[RUN]
    await new_node()
    await server.until(lambda: run.status == "failed", timeout_s=20)
    assert stdout_of(run) == ["it is *** and argument ***"]
    assert payloads(run, "command")[0]["argv"][-1] == "***"
    assert SECRET not in json.dumps(run.events)
    assert files_with(tmp_path / "data", SECRET.encode()) == []


async def test_the_agent_gets_its_secret_and_its_whole_prompt(server, new_node, tmp_path):
    seen = tmp_path / "seen"
    script = f'printf "%s|%s" "$API" "$RUNWATCH_PROMPT" > {seen}'
    run = server.add(
        RUN, ["sh", "-c", script], prompt=f"say {SECRET}", snapshot={"env": {"API": SECRET}}
    )
    await new_node()
    await server.until(lambda: run.status == "done", timeout_s=20)
    assert seen.read_text() == f"{SECRET}|say {SECRET}"


async def test_a_program_that_is_missing_is_told_without_the_secret_in_its_name(server, new_node):
    run = server.add(RUN, [f"/no/{SECRET}"], snapshot={"env": {"API": SECRET}})
    await new_node()
    await server.until(lambda: run.status == "failed", timeout_s=20)
    assert "/no/***" in run.events[-1]["payload"]["error"]
    assert SECRET not in json.dumps(run.events)


async def test_expressions_of_the_settings_and_exceptions_hold(server, new_node):
    run = server.add(
        RUN,
        ["sh", "-c", "echo corp-123456 $PLAIN_NAME"],
        snapshot={"env": {"PLAIN_NAME": "ordinary-value"}},
    )
    await new_node(redact_patterns=["corp-[0-9]{6}"], redact_except=["PLAIN_*"])
    await server.until(lambda: run.status == "done", timeout_s=20)
    assert stdout_of(run) == ["*** ordinary-value"]


async def test_a_secret_too_short_to_be_found_is_named_in_a_warning(server, new_node):
    run = server.add(RUN, ["true"], snapshot={"env": {"PIN_TOKEN": "1234"}})
    await new_node()
    await server.until(lambda: run.status == "done", timeout_s=20)
    (warning,) = payloads(run, "warning")
    assert warning["code"] == "secret_too_short"
    assert "PIN_TOKEN" in warning["message"]
    assert "1234" not in warning["message"]


@pytest.fixture
def repository(tmp_path):
    path = tmp_path / "source"
    path.mkdir()
    git(path, "init", "--quiet")
    (path / "file").write_text("one\n")
    (path / "other").write_text("two\n")
    git(path, "add", "-A")
    git(path, "commit", "--quiet", "-m", "one")
    return path


async def test_what_a_run_changed_in_its_clone_is_reported(server, new_node, repository, tmp_path):
    script = "echo 1 > file; rm other; mkdir -p a; echo new > a/b; git add -A"
    git_source = {"type": "git", "git": {"url": str(repository)}}
    run = server.add(RUN, ["sh", "-c", script], snapshot={"workspace": git_source})
    await new_node(workspace_roots=[str(tmp_path)])
    await server.until(lambda: run.status == "done", timeout_s=20)
    written = {payload["path"]: payload for payload in payloads(run, "file_write")}
    assert written["file"]["diff"].endswith("@@ -1 +1 @@\n-one\n+1\n")
    assert written["a/b"]["change"] == "added"
    assert [payload["path"] for payload in payloads(run, "file_delete")] == ["other"]
    assert run.events[-1]["payload"]["artifacts"] == [
        {"name": "b", "path": "a/b", "size_bytes": 4},
        {"name": "file", "path": "file", "size_bytes": 2},
    ]


async def test_changes_are_reported_by_the_process_that_takes_the_run_over(
    server, new_node, tmp_path
):
    local = tmp_path / "project"
    local.mkdir()
    (local / "old").write_text("x\n")
    go = tmp_path / "go"
    script = f"until [ -e {go} ]; do sleep 0.05; done; echo y > old"
    run = server.add(
        RUN,
        ["sh", "-c", script],
        snapshot={"workspace": {"type": "local", "local": {"path": str(local)}}},
    )
    first = await new_node(workspace_roots=[str(tmp_path)])
    await server.until(lambda: bool(payloads(run, "run_started")), timeout_s=20)
    await first.vanish()
    go.touch()
    await new_node(workspace_roots=[str(tmp_path)])
    await server.until(lambda: run.status == "done", timeout_s=20)
    (written,) = payloads(run, "file_write")
    assert written["diff"].endswith("-x\n+y\n")


@pytest.mark.parametrize(
    ("keep", "status", "stays"),
    [("all", 0, True), ("failed", 0, False), ("failed", 1, True), ("none", 1, False)],
)
async def test_a_workspace_stays_as_the_settings_say(server, new_node, keep, status, stays):
    run = server.add(RUN, ["sh", "-c", f"echo x > file; exit {status}"])
    node = await new_node(workspace_keep=keep)
    await server.until(lambda: run.status in {"done", "failed"}, timeout_s=20)
    own, kept = node.folder.workspaces / RUN, node.folder.ended / RUN
    await server.until(lambda: kept.exists() and own.exists() == stays, timeout_s=20)
    assert payloads(run, "file_write")[0]["path"] == "file"


async def test_a_folder_that_is_not_allowed_fails_the_run(server, new_node, tmp_path):
    run = server.add(
        RUN, snapshot={"workspace": {"type": "local", "local": {"path": str(tmp_path)}}}
    )
    await new_node(workspace_roots=[])
    await server.until(lambda: run.status == "failed", timeout_s=20)
    assert run.events[-1]["payload"]["error_code"] == "workspace_failed"
    assert "workspace_roots" in run.events[-1]["payload"]["error"]
