"""`monitor-tui --serve`, as it is seen in a real browser."""

import asyncio
import io
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from PIL import Image

from tests.end_to_end.browser import LIMIT_S, Page, chromium
from tests.processes import BIN, ServerProcess, clean_environment


@asynccontextmanager
async def serving(server: ServerProcess, *flags: str) -> AsyncIterator[tuple[str, int]]:
    """The address it prints, and its process."""
    process = await asyncio.create_subprocess_exec(
        str(BIN / "monitor-tui"),
        "--serve",
        "--port=0",
        *flags,
        stdout=PIPE,
        env={**clean_environment(server.data_dir), "LANG": "C.UTF-8"},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LIMIT_S):
            address = (await process.stdout.readline()).decode().strip()
        yield address, process.pid
    finally:
        process.terminate()
        async with asyncio.timeout(LIMIT_S):
            assert await process.wait() == 0


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def colours(picture: bytes) -> int:
    with Image.open(io.BytesIO(picture)) as image:
        return len(image.convert("RGB").getcolors(1 << 24) or ())


async def shown(page: Page, address: str) -> None:
    await page.open(address)
    await page.until(lambda: "live" in page.text)
    await page.click(600, 400)


@pytest.mark.timeout(120)
@pytest.mark.requirement("headless.serve")
async def test_a_browser_shows_the_runs_takes_keys_and_may_not_write(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.make_run(["sleep", "600"], name="seen-in-a-browser")
        async with serving(server) as (address, pid), chromium() as page:
            await shown(page, address)
            assert " RO" in page.text
            before = await page.picture()
            await page.press("2")
            await page.until(lambda: "seen-in-a-browser" in page.text)
            after = await page.picture()
            assert before != after
            assert colours(after) > 20
            assert "token" not in str(await page.value("location.href"))
            await page.press("k", control=True)
            await page.until(lambda: "read only" in page.text)
            assert len(children(pid)) == 1
            await page.call("Page.navigate", url="about:blank")
            await page.until(lambda: not children(pid))


@pytest.mark.timeout(120)
async def test_the_consoles_end_with_a_server_that_was_killed(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        process = await asyncio.create_subprocess_exec(
            str(BIN / "monitor-tui"),
            "--serve",
            "--port=0",
            stdout=PIPE,
            env={**clean_environment(server.data_dir), "LANG": "C.UTF-8"},
        )
        assert process.stdout is not None
        async with chromium() as page:
            await shown(page, (await process.stdout.readline()).decode().strip())
            [console] = children(process.pid)
            process.kill()
            await process.wait()
            await page.until(lambda: not Path(f"/proc/{console}").exists())


@pytest.mark.timeout(120)
async def test_with_allow_writes_a_run_is_cancelled_from_the_browser(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        run_id = server.make_run(["sleep", "600"], name="ended-in-a-browser")
        async with serving(server, "--allow-writes") as (address, _), chromium() as page:
            await shown(page, address)
            assert " RO" not in page.text
            await page.press("2")
            await page.until(lambda: "ended-in-a-browser" in page.text)
            await page.press("k", control=True)
            await page.until(lambda: "Cancel this run?" in page.text)
            await page.press("y")
            await asyncio.to_thread(server.wait_for_run, run_id, "cancelled")


@pytest.mark.timeout(120)
@pytest.mark.requirement("headless.serve")
async def test_a_page_without_the_token_shows_nothing_of_the_fleet(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        async with serving(server) as (address, pid), chromium() as page:
            await page.open(address.partition("?")[0])
            body = "document.body.innerText"
            async with asyncio.timeout(LIMIT_S):
                while "open the address" not in json.dumps(await page.value(body)):
                    await asyncio.sleep(0.05)
            assert children(pid) == []
