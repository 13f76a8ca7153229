"""``monitor-server prune``: what it says and removes, alone and through a server; killed midway."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import apsw
import pytest

from runwatch_server import pruning
from runwatch_server.lifespan import rules_of
from runwatch_server.storage.open import open_store
from runwatch_server.storage.protocols import Query
from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import ServerSettings
from tests.processes import BIN, ServerProcess, clean_environment, wait_until


def command(data_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "prune", *words, "--data-dir", str(data_dir)],
        env=clean_environment(data_dir),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


COMMAND = str(BIN / "monitor-server")


def metrics_of(server: ServerProcess) -> str:
    request = urllib.request.Request(
        f"{server.url}/metrics", headers={"Authorization": f"Bearer {server.token}"}
    )
    with urllib.request.urlopen(request, timeout=10, context=server.tls()) as answer:
        text: str = answer.read().decode()
    return text


def told(data_dir: Path, *words: str) -> dict[str, Any]:
    done = command(data_dir, *words, "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def ended(server: ServerProcess, events: int) -> str:
    """An external run with so many events, over."""
    task = server.post("/api/v1/tasks", {"name": "t", "prompt": "p"})
    run_id: str = server.post(f"/api/v1/tasks/{task['id']}/runs")["id"]
    numbers = range(1, events + 1)
    for first in range(1, events + 1, 500):
        batch = [
            {
                "seq": seq,
                "type": "message" if seq < events else "run_completed",
                "timestamp": "2026-11-23T10:31:22.000000Z",
                "payload": {"content": "x" * 200} if seq < events else {"status": "done"},
            }
            for seq in numbers[first - 1 : first + 499]
        ]
        server.post(f"/api/v1/runs/{run_id}/events", {"events": batch})
    return run_id


def check_consistent(data_dir: Path) -> int:
    """Every kept number equals what is stored; gives the events there are."""
    settings = ServerSettings(data_dir=str(data_dir))
    store = open_store(
        f"sqlite:///{data_dir / 'runwatch.db'}", rules=rules_of(settings), synchronous="normal"
    )
    try:
        with store.read() as tx:
            total = 0
            for row in tx.runs.page(Query(limit=1000)):
                seqs = [event.seq for event in tx.events.between(row.id, 1, 10**9)]
                assert len(seqs) == row.event_count - row.events_removed
                assert seqs == list(range(row.first_seq, row.last_seq + 1))
                total += len(seqs)
            assert tx.size().events == total
        return total
    finally:
        store.close()


@pytest.mark.timeout(120)
def test_a_running_server_is_asked_and_readers_are_told(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        first, second = ended(server, 1200), ended(server, 300)
        looked = told(tmp_path, "--max-events", "400", "--dry-run")
        assert (looked["events"], looked["runs_with_events"]) == (1100, 1)
        assert server.get(f"/api/v1/runs/{first}")["first_seq"] == 1
        refused = command(tmp_path, "--max-events", "400")
        assert refused.returncode == 78
        assert "--yes" in refused.stderr
        done = told(tmp_path, "--max-events", "400", "--yes")
        audited = (tmp_path / "audit.log").read_text()
        assert '"action":"prune"' in audited
        assert (done["events"], done["by_server"], done["kept_events"]) == (1100, True, 400)
        page = server.get(f"/api/v1/runs/{first}/events?from_seq=0")
        assert page["gap"] == {"from_seq": 1, "to_seq": 1100, "reason": "expired"}
        assert page["events"][0]["seq"] == 1101
        assert server.get(f"/api/v1/runs/{second}")["first_seq"] == 1
        assert "runwatch_retention_removed_events_total 1100.0" in metrics_of(server)
        assert server.get("/api/v1/server")["retention"]["events_max_count"] == 0
        locked = command(tmp_path, "--max-events", "400", "--vacuum")
        assert locked.returncode == 78
        # An age of one second takes whole runs as well, and the lists no longer have them.
        wait_until(
            lambda: told(tmp_path, "--runs", "--older-than", "1s", "--dry-run")["runs"] == 2, "age"
        )
        gone = told(tmp_path, "--runs", "--older-than", "1s", "--yes")
        assert (gone["runs"], gone["events"]) == (2, 400)
        assert server.get("/api/v1/monitor/workflows")["workflows"] == []
        assert server.get("/api/v1/monitor/stats")["total_runs"] == 0
    assert check_consistent(tmp_path) == 0


@pytest.mark.timeout(120)
def test_alone_it_removes_and_gives_the_room_back(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        for _ in range(3):
            ended(server, 2000)
    before = (tmp_path / "runwatch.db").stat().st_size
    done = told(tmp_path, "--max-bytes", "1MB", "--yes", "--vacuum")
    assert done["by_server"] is False
    assert done["used_bytes"] <= 1_000_000
    assert (tmp_path / "runwatch.db").stat().st_size < before / 2
    assert check_consistent(tmp_path) == 6000 - done["events"]
    again = told(tmp_path, "--max-bytes", "1MB", "--yes")
    assert again["events"] == 0


@pytest.mark.timeout(120)
def test_killed_midway_everything_is_whole_and_the_next_goes_on(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        for _ in range(3):
            ended(server, 3000)
    script = (
        "import sys, os; from runwatch_server import pruning, cli; pruning.ALONE_ROWS = 40; "
        "sys.argv[1:] = ['prune', '--max-events', '100', '--yes', '--data-dir', sys.argv[1]]; "
        "cli.main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], env=clean_environment(tmp_path)
    )
    try:
        left = 9000
        database = tmp_path / "runwatch.db"
        wait_until(
            lambda: process.poll() is not None or count(database) < left - 500, "pruning", 20
        )
    finally:
        process.kill()
        process.wait()
    assert 100 < check_consistent(tmp_path) < 9000
    told(tmp_path, "--max-events", "100", "--yes")
    assert check_consistent(tmp_path) == 100


def count(database: Path) -> int:
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        ((events,),) = connection.execute("SELECT count(*) FROM events").fetchall()
        return int(str(events))
    finally:
        connection.close()


@pytest.mark.timeout(120)
def test_a_request_outlives_the_command_and_the_server(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        ended(server, 3000)
        process = subprocess.Popen(
            [
                *(COMMAND, "prune", "--max-events", "100", "--yes"),
                *("--data-dir", str(tmp_path)),
            ],
            env=clean_environment(tmp_path),
            stdout=subprocess.DEVNULL,
        )
        try:
            database = tmp_path / "runwatch.db"
            wait_until(lambda: count(database) < 3000, "the first piece", 20)
        finally:
            process.kill()
            process.wait()
        server.kill()
        server.start()
        wait_until(lambda: count(database) == 100, "the rest", 20)
    assert check_consistent(tmp_path) == 100


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("123", 123), ("500MB", 500_000_000), ("2GiB", 2 * 1024**3), ("1 kb", 1000)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert pruning.bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1.5GB", "10 GBB", "1e9", "9" * 20])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        pruning.bytes_of(text)


def test_an_age_for_runs_must_come_from_somewhere(tmp_path: Path) -> None:
    with ServerProcess(tmp_path):
        pass
    refused = command(tmp_path, "--runs", "--dry-run")
    assert refused.returncode == 78
    assert "--older-than" in refused.stderr
    assert os.path.exists(tmp_path / "runwatch.db")
