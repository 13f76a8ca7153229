"""``monitor-server backup``, ``restore``, ``export``, ``import`` and ``verify``, as typed."""

import os
import re
import subprocess
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from tests.processes import BIN, ServerProcess, clean_environment
from tests.server.http.test_prune import ended

COMMAND = str(BIN / "monitor-server")
ID = re.compile(r"store +([0-9a-f]{16})")


def typed(data_dir: Path, *words: str, status: int = 0) -> str:
    """What the command says on both outputs."""
    done = subprocess.run(
        [COMMAND, *words, "--data-dir", str(data_dir)],
        env=clean_environment(data_dir),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def store_of(data_dir: Path) -> str:
    found = ID.search(typed(data_dir, "check"))
    assert found is not None
    return found[1]


@pytest.mark.timeout(180)
def test_a_server_is_backed_up_while_it_serves_and_brought_back(tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    with ServerProcess(data) as server:
        run = ended(server, 700)
        assert "verified   1 runs, 700 events, 1 runs folded anew" in typed(data, "verify")
        said = typed(data, "backup", str(backup))
        assert "verified   1 runs, 700 events" in said
        ended(server, 5)
        refused = typed(data, "restore", str(backup), "--replace", status=78)
        assert "another server" in refused
    first = store_of(data)
    assert "--replace" in typed(data, "restore", str(backup), status=74)
    said = typed(data, "restore", str(backup), "--replace")
    assert "runwatch.db.before-restore" in said
    assert store_of(data) != first
    assert f"restore  {backup}  done" in typed(data, "audit", "list")
    with ServerProcess(data) as server:
        assert [each["id"] for each in server.get("/api/v1/monitor/workflows")["workflows"]] == [
            run
        ]
        events = server.get(f"/api/v1/runs/{run}/events?from_seq=698")["events"]
        assert [event["seq"] for event in events] == [699, 700]
        ended(server, 5)
    assert "verified   2 runs, 705 events" in typed(data, "verify")


@pytest.mark.timeout(180)
def test_a_server_moves_to_another_data_directory_and_goes_on(tmp_path: Path) -> None:
    old, new, file = tmp_path / "old", tmp_path / "new", tmp_path / "moved"
    with ServerProcess(old) as server:
        run = ended(server, 20)
        assert "exported   1 runs, 20 events, 1 tasks, 0 nodes" in typed(old, "export", str(file))
    new.mkdir()
    for name in ("token", "node-token"):
        (new / name).write_bytes((old / name).read_bytes())
    said = typed(new, "import", str(file))
    assert "imported   1 runs, 20 events, 1 tasks, 0 nodes" in said
    assert "verified   1 runs" in said
    assert f"import  {file}  done" in typed(new, "audit", "list")
    assert "not empty" in typed(new, "import", str(file), status=74)
    with ServerProcess(new) as server:
        # The token of before is known: it moved too.
        assert server.token == (old / "token").read_text().strip()
        assert server.get(f"/api/v1/runs/{run}")["last_seq"] == 20


@pytest.mark.timeout(120)
def test_what_is_wrong_is_said_and_is_the_exit_status(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ServerProcess(data) as server:
        ended(server, 30)
    with closing(apsw.Connection(str(data / "runwatch.db"))) as raw:
        raw.execute("DELETE FROM events WHERE seq = 7")
        raw.execute("UPDATE counters SET value = 5 WHERE name = 'run:status:done'")
    said = typed(data, "verify", status=1)
    assert "it has 29 events where 30 are kept; the first missing is 7" in said
    assert "counter run:status:done is 5, a recount gives 1" in said
    assert "not whole  2 things are wrong in 1 runs, 29 events" in said
    backup = tmp_path / "backup"
    assert "not whole" in typed(data, "backup", str(backup), status=1)
    with backup.open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"\xff")
    said = typed(tmp_path / "other", "restore", str(backup), status=74)
    assert "torn or was changed" in said
    typed(tmp_path / "nothing", "verify", status=78)
