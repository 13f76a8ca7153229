"""`--read-only`: nothing is written, on the server or here, whatever the credential allows."""

from pathlib import Path

import pytest

from tests.console.driving import console


async def test_it_says_so_and_refuses_what_would_change_something() -> None:
    async with console(read_only=True) as driven:
        assert driven.lines[0].rstrip().endswith("RO")
        await driven.press("2", "ctrl+k")
        await driven.until_text("read only: this console was started with --read-only")
        assert "Cancel this run?" not in driven.text
        await driven.press("ctrl+n")
        assert "New run" not in driven.text
        assert driven.script.api.asked("cancel_run") == []


async def test_no_file_is_written_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "config.toml"
    async with console(read_only=True, settings_file=settings) as driven:
        await driven.press("2", *":export json", "enter")
        await driven.until_text("read only")
        await driven.press(*":save mine", "enter")
        await driven.pilot.pause(0.1)
        assert list(tmp_path.iterdir()) == []
