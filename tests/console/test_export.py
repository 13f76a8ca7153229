"""`:export` writes the list that is shown, masks what lets one log in, and replaces nothing."""

import csv
import io
import json
from pathlib import Path

import pytest

from runwatch_console.authrows import auth_rows
from runwatch_console.exports import FORMATS, export_text
from runwatch_console.fleet import Fleet
from runwatch_console.rows import run_row
from runwatch_console.screens.exporting import listed
from tests.console import records
from tests.console.driving import console


@pytest.mark.requirement("keys.command.export")
async def test_the_runs_that_are_shown_are_written_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "a list.csv"
    async with console() as driven:
        await driven.press("2", "f", *"s:active", "enter")
        await driven.press("colon", *f"export csv {path}", "enter")
        await driven.until_text("rows are in")
        found = listed(driven.app.console_screen)
        assert found is not None
        rows = list(csv.DictReader(io.StringIO(path.read_text(), newline="")))
        assert [row["id"] for row in rows] == [run.id for run in found[1]]  # type: ignore[attr-defined]
        assert rows
        assert all(row["status"] not in ("done", "failed") for row in rows)
        assert rows[0]["created_at"].startswith("20")
        assert path.stat().st_mode & 0o777 == 0o600
        assert [each.name for each in tmp_path.iterdir()] == ["a list.csv"]


async def test_what_is_there_is_replaced_only_with_a_bang(tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    path.write_text("mine")
    async with console() as driven:
        await driven.press("4", "colon", *f"export json {path}", "enter")
        await driven.until_text("is there already")
        assert path.read_text() == "mine"
        await driven.press("colon", *f"export! json {path}", "enter")
        await driven.until_text("rows are in")
        nodes = json.loads(path.read_text())
        assert {node["id"] for node in nodes} == set(driven.app.state.fleet.nodes)
        assert path.stat().st_mode & 0o777 == 0o600


async def test_without_a_name_the_file_is_named_by_kind_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with console() as driven:
        await driven.press("colon", *"export json", "enter")
        await driven.until_text("rows are in")
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("runwatch-runs-20")
    assert path.suffix == ".json"


async def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    async with console() as driven:
        await driven.press("colon", *f"export csv {tmp_path}/none/x.csv", "enter")
        await driven.until_text("was not written")
        await driven.press("colon", *"export xml", "enter")
        await driven.until_text("not xml")
        await driven.press("6", "colon", *"export csv", "enter")
        await driven.until_text("there is no list on this screen")


async def test_formats_are_completed() -> None:
    async with console() as driven:
        await driven.press("colon", *"export ")
        await driven.until_text("json  csv")


@pytest.mark.requirement("screen.auth.masked")
def test_codes_and_addresses_of_logins_are_masked() -> None:
    code, url = "WDJB-MJHT", "https://auth.example/x?y=1"
    metadata = {"account_id": "team", "user_code": code, "verify_url": url}
    login = records.summary(
        "act-000000000019",
        type="auth",
        metadata=metadata,
        waiting=records.waiting(f"enter {code} at {url}", kind="login"),
        activity_text=f"code {code}",
    )
    said = records.summary(activity_text="open https://github.com/login/device, code ABCD-1234")
    runs = [run_row(login), run_row(said)]
    fleet = Fleet(runs={run.id: run for run in runs})
    rows = auth_rows(fleet)
    assert [(row.code, row.url) for row in rows] == [(code, url)]
    for form in FORMATS:
        for text in (export_text(rows, form), export_text(runs, form)):
            assert "act-000000000019" in text
            for secret in (code, url, "ABCD-1234", "github.com/login"):
                assert secret.casefold() not in text.casefold()


def test_a_cell_that_a_spreadsheet_would_compute_is_harmless() -> None:
    assert "'=1+1" in export_text([run_row(records.summary(name="=1+1"))], "csv")
