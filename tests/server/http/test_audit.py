"""The audit log: what changes and what is refused is in it, chained, and no secret is."""

import asyncio
import fcntl
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from runwatch_server.audit import file
from runwatch_server.audit.entries import Entry, Head
from runwatch_server.audit.trail import REFUSED_BURST, AuditTrail
from runwatch_shared.tasks import TaskOwner
from tests.clock import ManualClock
from tests.server.http.house import PASSWORD, event, open_house


def entry(actor: str = "ann", **fields: Any) -> Entry:
    return Entry(at="2026-11-23T10:00:00.000000Z", actor=actor, action="POST /x", **fields)


def entries_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line)["entry"] for _, _, line in file.lines_of(folder)]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    for number in range(20):
        file.append(tmp_path, [entry(f"user {number}")])
    return tmp_path


async def test_what_is_changed_is_written_before_its_answer_with_who_did_it(
    tmp_path: Path,
) -> None:
    async with open_house(audit_folder=tmp_path) as house:
        task = await house.task()
        made = entries_in(tmp_path)[-1]
        assert made["actor"] == "admin"
        assert (made["action"], made["made"], made["status"]) == (
            "POST /api/v1/tasks",
            task["id"],
            201,
        )
        assert made["request_id"]
        await house.send("DELETE", f"/api/v1/tasks/{task['id']}", who="operator")
        last = entries_in(tmp_path)[-1]
        assert (last["actor"], last["target"]) == ("operator", f"/api/v1/tasks/{task['id']}")
        before = len(entries_in(tmp_path))
        await house.get("/api/v1/tasks")
        assert len(entries_in(tmp_path)) == before, "reading leaves nothing"


async def test_who_is_refused_is_written_with_what_was_asked_and_who_asked(tmp_path: Path) -> None:
    async with open_house(audit_folder=tmp_path) as house:
        await house.beat("node-1")
        run_id, epoch = await house.held_run("node-2")
        report = {"epoch": epoch, "events": [event(1)]}
        for method, path, who, body in (
            ("POST", "/api/v1/tasks", None, {}),
            ("POST", "/api/v1/tasks", "viewer", {}),
            ("GET", "/api/v1/auth/tokens", "operator", None),
            ("POST", f"/api/v1/runs/{run_id}/events", "node-1", report),
        ):
            await house.send(method, path, who=who, body=body)
        await house.services.audit.drain()
        refused = [each for each in entries_in(tmp_path) if "code" in each]
        assert [(each.get("actor"), each["code"]) for each in refused] == [
            ("", "unauthenticated"),
            ("viewer", "forbidden"),
            ("operator", "forbidden"),
            ("node", "not_your_run"),
        ]


async def test_what_nodes_report_is_no_record(tmp_path: Path) -> None:
    async with open_house(audit_folder=tmp_path) as house:
        run_id, epoch = await house.held_run("node-1")
        await house.make(
            f"/api/v1/runs/{run_id}/events", {"epoch": epoch, "events": [event(1)]}, who="node"
        )
        actions = {each["action"] for each in entries_in(tmp_path)}
        assert not {action for action in actions if "heartbeat" in action or "events" in action}
        assert "POST /api/v1/tasks/{id}/runs" in actions


async def test_no_secret_is_in_the_log(tmp_path: Path) -> None:
    async with open_house(audit_folder=tmp_path) as house:
        login = await house.send(
            "POST",
            "/api/v1/auth/login",
            who=None,
            body={"email": "admin@example.org", "password": PASSWORD},
        )
        token = await house.make("/api/v1/auth/tokens", {"name": "ci", "scope": "viewer"})
        await house.send(
            "POST", "/api/v1/auth/login", who=None, body={"email": PASSWORD, "password": "x"}
        )
        await house.services.audit.drain()
        text = (tmp_path / file.NAME).read_text()
        assert login.status_code == 200
        for secret in (
            PASSWORD,
            token["token"],
            login.json()["access_token"],
            login.json()["refresh_token"],
            *house.tokens.values(),
        ):
            assert secret not in text
        assert "admin@example.org" in text
        assert token["id"] in text


def test_a_whole_log_is_whole_and_says_where_it_stands(filled: Path) -> None:
    verdict = file.verify(filled)
    assert (verdict.records, verdict.first, verdict.problem) == (20, 1, None)
    assert verdict.head.n == 20
    assert oct((filled / file.NAME).stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize("change", ["word", "removed", "swapped", "twice", "put in", "hash"])
def test_any_change_of_a_record_shows(filled: Path, change: str) -> None:
    path = filled / file.NAME
    lines = path.read_text().splitlines(keepends=True)
    match change:
        case "word":
            lines[7] = lines[7].replace("user 7", "user 8")
        case "removed":
            del lines[7]
        case "swapped":
            lines[7], lines[8] = lines[8], lines[7]
        case "twice":
            lines.insert(7, lines[7])
        case "put in":
            lines.insert(7, lines[3])
        case "hash":
            lines[7] = lines[7].replace('"hash":"', '"hash":"f')
    path.write_text("".join(lines))
    verdict = file.verify(filled)
    assert verdict.problem is not None
    assert verdict.problem.startswith("audit.log:")


def test_a_line_a_crash_left_half_written_is_cut_off_and_the_chain_goes_on(filled: Path) -> None:
    path = filled / file.NAME
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"n":21,"prev')
    file.append(filled, [entry("after")])
    verdict = file.verify(filled)
    assert (verdict.records, verdict.problem) == (21, None)
    assert path.read_bytes().startswith(whole)


def test_an_end_that_is_no_record_is_never_written_upon(filled: Path) -> None:
    path = filled / file.NAME
    path.write_bytes(path.read_bytes() + b"not a record\n")
    before = path.read_bytes()
    with pytest.raises(OSError, match="no record"):
        file.append(filled, [entry()])
    assert path.read_bytes() == before


def test_a_large_file_is_turned_over_and_the_chain_goes_through(tmp_path: Path) -> None:
    for number in range(60):
        file.append(tmp_path, [entry(f"user {number}")], file_bytes=2000, files=3)
    verdict = file.verify(tmp_path)
    assert verdict.problem is None
    assert verdict.head.n == 60
    assert 1 < verdict.first < 60, "the oldest files are gone"
    assert len(list(tmp_path.glob("audit-*.log"))) == 3


def test_many_that_write_at_once_make_one_chain(tmp_path: Path) -> None:
    def work(name: str) -> None:
        for _ in range(25):
            file.append(tmp_path, [entry(name)])

    threads = [threading.Thread(target=work, args=(f"writer {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = file.verify(tmp_path)
    assert (verdict.records, verdict.problem) == (100, None)


def test_many_that_write_while_files_are_turned_over_make_one_chain(tmp_path: Path) -> None:
    def work(name: str) -> None:
        for _ in range(25):
            file.append(tmp_path, [entry(name)], file_bytes=600, files=1000)

    threads = [threading.Thread(target=work, args=(f"writer {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = file.verify(tmp_path)
    assert (verdict.records, verdict.problem) == (100, None)


def test_who_waited_for_a_file_that_was_turned_over_writes_into_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.append(tmp_path, [entry("first")])
    take = fcntl.flock

    def late(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", take)
        file.append(tmp_path, [entry("second")], file_bytes=1)
        take(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    file.append(tmp_path, [entry("third")])
    assert len((tmp_path / "audit-000000000001.log").read_text().splitlines()) == 2
    assert len((tmp_path / file.NAME).read_text().splitlines()) == 1
    assert file.verify(tmp_path).problem is None


@pytest.mark.parametrize("trouble", ["rename", "first line"])
def test_a_file_that_cannot_be_turned_over_is_written_on_and_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    file.append(tmp_path, [entry("first"), entry("second")])
    path = tmp_path / file.NAME
    if trouble == "first line":
        path.write_text(path.read_text().replace("first", "other"))
    else:

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "rename", refuse)
    file.append(tmp_path, [entry("third")], file_bytes=1)
    file.append(tmp_path, [entry("fourth")], file_bytes=1)
    actors = [each["actor"] for each in entries_in(tmp_path)]
    assert actors[1:] == ["second", "third", "fourth"]


def test_a_half_written_end_is_no_record_and_no_damage(filled: Path) -> None:
    path = filled / file.NAME
    path.write_bytes(path.read_bytes() + b'{"n":21,"prev')
    verdict = file.verify(filled)
    assert (verdict.records, verdict.problem) == (20, None)
    assert len(entries_in(filled)) == 20


async def test_a_flood_of_refusals_is_counted_and_not_written_whole(tmp_path: Path) -> None:
    clock = ManualClock()
    trail = AuditTrail(tmp_path, clock)
    for _ in range(REFUSED_BURST + 500):
        trail.refused(entry(code="forbidden"))
    async with TaskOwner("test") as owner:
        trail.start(owner)
        await trail.done(entry("admin"))
    written = entries_in(tmp_path)
    assert len(written) == REFUSED_BURST + 1
    assert written[-1]["dropped"] == 500


async def test_a_disk_that_takes_nothing_holds_up_nobody_for_long_and_gets_all_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runwatch_server.audit.trail.WAIT_S", 0.05)
    folder = tmp_path / "later"
    trail = AuditTrail(folder, ManualClock())
    async with TaskOwner("test") as owner:
        trail.start(owner)
        await trail.done(entry("first"))
        assert trail.failing
        folder.mkdir()
        async with asyncio.timeout(20):
            while trail.failing:
                await trail.done(entry("again"))
    actors = [each["actor"] for each in entries_in(folder)]
    assert actors[0] == "first"
    assert file.verify(folder).problem is None


def test_a_log_that_was_never_written_is_empty_and_whole(tmp_path: Path) -> None:
    assert file.verify(tmp_path) == file.Verdict(records=0, head=Head(), first=0)
