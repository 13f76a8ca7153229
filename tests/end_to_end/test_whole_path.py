"""A run made over HTTP is executed on a node, stored, and read live on the console's screen."""

import subprocess
import sys
from pathlib import Path

import pytest

from runwatch_shared.timestamps import parse_time
from tests.end_to_end.screens import console_of, text_of, until
from tests.processes import BIN, ServerProcess, fleet, wait_until

SLOW_LINES = """
import time
for n in range(1, 9):
    print(f"step {n} of 8", flush=True)
    time.sleep(0.3)
"""


@pytest.mark.timeout(90)
async def test_the_last_line_of_a_run_is_read_on_the_consoles_screen(tmp_path: Path) -> None:
    with fleet(tmp_path) as (server, _):
        app = console_of(server)
        async with app.run_test(size=(120, 40)) as pilot:
            run_id = server.make_run([sys.executable, "-c", SLOW_LINES], name="eight steps")
            await pilot.press("2")
            await until(lambda: "eight steps" in text_of(app), lambda: text_of(app))
            await pilot.press("enter")
            await until(lambda: "step 1 of 8" in text_of(app), lambda: text_of(app))
            await until(lambda: "step 8 of 8" in text_of(app), lambda: text_of(app))
            server.wait_for_run(run_id, "done")
            await until(lambda: "done" in text_of(app).lower(), lambda: text_of(app))


@pytest.mark.timeout(90)
async def test_a_console_that_lost_its_server_says_so_and_goes_on_without_a_gap(
    tmp_path: Path,
) -> None:
    with fleet(tmp_path) as (server, _):
        app = console_of(server)
        async with app.run_test(size=(120, 40)) as pilot:
            server.make_run([sys.executable, "-c", SLOW_LINES], name="goes on")
            await pilot.press("2")
            await until(lambda: "goes on" in text_of(app), lambda: text_of(app))
            await pilot.press("enter")
            await until(lambda: "step 2 of 8" in text_of(app), lambda: text_of(app))
            server.kill()
            await until(lambda: "DISCONNECTED" in text_of(app), lambda: text_of(app))
            server.start()
            await pilot.press("r")
            await until(lambda: "step 8 of 8" in text_of(app), lambda: text_of(app))
            shown = text_of(app)
            assert [n for n in range(1, 9) if f"step {n} of 8" not in shown] == []
            assert "DISCONNECTED" not in shown


HOSTILE = (
    b"\x1b[31mred\x1b[0m \x1b]52;c;ZXZpbA==\x07 \x1b]0;title\x07 \x9b2J \x00\x08\x0b "
    b"\xe2\x80\xae\xe2\x81\xa6rtl [@click=app.quit]quit[/] [bold]x[/bold] a[/ "
    b"\xff\xfe\xc3( \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb "
    b"end-of-hostile"
)


@pytest.mark.timeout(120)
async def test_hostile_output_is_harmless_on_every_screen_and_in_every_text_output(
    tmp_path: Path,
) -> None:
    script = (
        "import sys\n"
        f"sys.stdout.buffer.write({HOSTILE!r} + b'\\n')\n"
        "sys.stdout.buffer.write(b'x' * (10 << 20))\n"
        "sys.stdout.buffer.flush()\n"
    )
    with fleet(tmp_path) as (server, _):
        run_id = server.make_run([sys.executable, "-c", script], name="[/] 你好 [@click=app.quit]x")
        run = server.wait_for_run(run_id, "done", "failed", limit_s=60)
        assert run["status"] == "done", run
        app = console_of(server)
        async with app.run_test(size=(120, 40)) as pilot:
            for key in "1", "2", "3", "4", "6":
                await pilot.press(key)
                await pilot.pause()
                assert_harmless(text_of(app))
            await pilot.press("2")
            await until(lambda: "你好" in text_of(app), lambda: text_of(app))
            await pilot.press("enter")
            await until(lambda: "exit 0" in text_of(app), lambda: text_of(app))
            await pilot.press("g")
            await until(lambda: "rtl [@click=app.quit]" in text_of(app), lambda: text_of(app))
            await pilot.press("backslash")
            await until(lambda: "end-of-hostile" in text_of(app), lambda: text_of(app))
            assert_harmless(text_of(app))
            assert app.is_running
        for command in (["runs"], ["run", run_id], ["stats"], ["nodes"]):
            assert_harmless(printed(server, command))


def assert_harmless(text: str) -> None:
    bad = sorted({char for char in text if not char.isprintable() and char != "\n"})
    assert bad == [], [hex(ord(char)) for char in bad]


def printed(server: ServerProcess, command: list[str]) -> str:
    done = subprocess.run(
        [str(BIN / "monitor-tui"), *command],
        env=server.environment,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_a_queued_run_starts_within_a_second_of_a_slot_becoming_free(tmp_path: Path) -> None:
    with fleet(tmp_path, "--capacity", "1") as (server, _):
        first = server.make_run([sys.executable, "-c", "import time; time.sleep(1.5)"])
        server.wait_for_run(first, "running")
        second = server.make_run([sys.executable, "-c", "print('now')"])
        reason = wait_until(
            lambda: next(
                row.get("queue_reason")
                for row in server.get("/api/v1/monitor/workflows?state=pending")["workflows"]
                if row["id"] == second
            ),
            "a reason",
        )
        ended = server.wait_for_run(first, "done")
        begun = server.wait_for_run(second, "done")

        wait_us = parse_time(begun["started_at"]) - parse_time(ended["finished_at"])
        assert "full" in reason
        assert wait_us < 1_000_000
