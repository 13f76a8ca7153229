"""`completion`, `man` and the values that scripts ask for."""

import asyncio
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runwatch_console.flags import FLAGS
from tests.console.network.records import page, summary
from tests.console.network.scripted import ScriptedServer
from tests.console.network.test_cli import environment, monitor
from tests.shells import completed, needed

__all__ = ["environment"]
PROGRAMS = ("monitor-tui", "monitor-server", "nodemanager")
BIN = Path(sys.executable).parent


async def printed(environment: dict[str, str], *arguments: str) -> str:
    code, out, err = await monitor(environment, *arguments)
    assert (code, err) == (0, "")
    return out


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest) -> str:
    needed(request.param)
    return str(request.param)


async def script(environment: dict[str, str], shell: str, tmp_path: Path) -> Path:
    path = tmp_path / f"script.{shell}"
    path.write_text(await printed(environment, "completion", shell), encoding="utf-8")
    return path


@pytest.mark.requirement("headless.completions")
async def test_commands_flags_and_themes_are_completed(
    environment: dict[str, str], shell: str, tmp_path: Path
) -> None:
    path = await script(environment, shell, tmp_path)
    commands = completed(shell, path, "monitor-tui", "")
    assert {"runs", "nodes", "wait", "completion", "man"} <= set(commands)
    assert "complete-values" not in commands
    flags = completed(shell, path, "monitor-tui", "runs", "--")
    assert {flag.name for flag in FLAGS} | {"--output", "--watch"} <= set(flags)
    assert {"dark", "16"} <= set(completed(shell, path, "monitor-tui", "--theme", ""))


@pytest.mark.requirement("headless.completions")
async def test_ids_of_runs_come_from_the_server_that_the_line_names(
    environment: dict[str, str], shell: str, tmp_path: Path, server: ScriptedServer
) -> None:
    hostile = summary("$(touch pwned)")
    runs = [summary("run-8f21"), hostile, summary("run-90b3"), summary("other")]
    server.answer("/api/v1/monitor/workflows", page(*runs))
    path = await script(environment, shell, tmp_path)
    words = ("monitor-tui", "run", "--server", server.url, "run-")
    home = {"RUNWATCH_DATA_DIR": environment["RUNWATCH_DATA_DIR"]}
    found = await asyncio.to_thread(
        completed, shell, path, *words, environment=home, folder=tmp_path
    )
    assert set(found) - {"other"} == {"run-8f21", "run-90b3"}
    assert not (tmp_path / "pwned").exists()


async def test_names_of_contexts_and_views_come_from_the_settings_that_the_line_names(
    environment: dict[str, str], shell: str, tmp_path: Path
) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        '[console.contexts.prod]\nurl = "https://prod:1"\n'
        '[console.contexts.stage]\nurl = "https://stage:1"\n'
        '[console.views.mornings]\nfilter = "s:wait"\n'
    )
    path = await script(environment, shell, tmp_path)
    home = {"RUNWATCH_DATA_DIR": environment["RUNWATCH_DATA_DIR"]}
    for words, expected in (
        (("--config", str(config), "--context", ""), {"prod", "stage"}),
        (("--config", str(config), "runs", "--context", "pr"), {"prod"}),
        (("--config", str(config), "runs", "--view", "morn"), {"mornings"}),
    ):
        found = await asyncio.to_thread(
            completed, shell, path, "monitor-tui", *words, environment=home
        )
        assert expected <= set(found)


async def test_a_server_that_does_not_answer_completes_nothing_and_holds_nobody_up(
    environment: dict[str, str],
) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert await printed(environment, "complete-values", "runs", "--server", url) == ""


async def test_a_file_system_that_hangs_holds_nobody_up(
    environment: dict[str, str], tmp_path: Path
) -> None:
    program = (
        "import sys, time\n"
        "from runwatch_console.headless import usage_commands\n"
        "async def never(api): time.sleep(600)\n"
        "usage_commands.VALUES['runs'] = never\n"
        "from runwatch_console.cli import run\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    assert await monitor(environment, "complete-values", "runs", program=program) == (0, "", "")


@pytest.mark.requirement("headless.man")
async def test_the_manual_page_has_every_command_and_flag_in_both_languages(
    environment: dict[str, str],
) -> None:
    english = await printed(environment, "man")
    chinese = await printed(environment, "--lang", "zh", "man")
    for text in (english, chinese):
        for word in ("runs", "wait", "completion"):
            assert f'.SS "{word}"' in text
        for flag in FLAGS:
            assert flag.name.replace("-", "\\-") in text
    assert "列出运行" in chinese


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_has_completions_and_a_well_formed_manual_page(
    program: str, tmp_path: Path
) -> None:
    def output(*arguments: str) -> str:
        done = subprocess.run(
            [str(BIN / program), *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return done.stdout

    page = output("man")
    assert page.startswith(f'.TH "{program.upper()}" 1'.replace("-", "\\-"))
    if shutil.which("mandoc"):
        linted = subprocess.run(
            ["mandoc", "-Tlint", "-W", "warning"],
            input=page,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        told = [line for line in linted.stdout.splitlines() if "missing date" not in line]
        assert told == []
    script = tmp_path / "script"
    script.write_text(output("completion", "bash"))
    if program == "monitor-server":
        assert completed("bash", script, program, "token", "") == ["create", "list", "revoke"]
    assert "completion" in completed("bash", script, program, "c")
