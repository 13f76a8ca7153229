"""Stored copies of login files: streamed in and out, sealed where they lie, whole or not there."""

import gzip
import io
import random
import tarfile
from collections.abc import AsyncIterator

import httpx

from runwatch_server.accounts import archives, sweeping
from runwatch_server.accounts.rows import ArchivePartRow, ArchiveRow
from runwatch_shared.settings import Limits
from tests.server.http.house import PATIENT, House
from tests.server.logins.desk import Desk, open_desk

SECRET = b"oauth-canary-31337"
PATH = "/api/v1/accounts/claude-code_ada/volume-archive"


def packed(size: int) -> bytes:
    """A tar file, its content as random as what is packed or encrypted."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        data = SECRET + random.Random(size).randbytes(size)
        info = tarfile.TarInfo(".claude/.credentials.json")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


async def pieces(data: bytes, size: int = 100_001) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def put(house: House, content: object, who: str = "node-1", **headers: str) -> httpx.Response:
    sent = {**house.headers(who), "Content-Type": "application/x-tar", **headers}
    return await house.client.put(PATH, content=content, headers=sent)  # type: ignore[arg-type]


async def kept(house: House) -> list[ArchivePartRow]:
    return await house.services.reader.read(lambda tx: tx.kept(ArchivePartRow).find(limit=9999))


async def sweep(house: House) -> None:
    while await house.services.writer.write(sweeping.sweep):
        pass


async def test_an_archive_comes_back_as_it_was_and_lies_sealed(desk: Desk) -> None:
    await desk.authenticated()
    data = packed(700_000)
    answer = await put(desk.house, pieces(data))
    assert answer.status_code == 200, answer.text
    stored = answer.json()
    assert stored["size_bytes"] == len(data)
    assert (await desk.account())["volume_archive_key"] == stored["archive_key"]
    back = await desk.house.send("GET", PATH, who="node")
    assert back.content == data
    assert back.headers["content-length"] == str(len(data))
    parts = await kept(desk.house)
    assert len(parts) == 3
    assert not any(SECRET in part.data.encode() or SECRET.hex() in part.data for part in parts)


async def test_a_newer_archive_takes_the_place_of_the_older(desk: Desk) -> None:
    await desk.authenticated()
    await put(desk.house, packed(300_000))
    data = gzip.compress(packed(10))
    answer = await put(desk.house, data, **{"Content-Type": "application/gzip"})
    assert answer.status_code == 200
    await sweep(desk.house)
    assert [part.id for part in await kept(desk.house)] == [
        archives.part_id(answer.json()["archive_key"], 0)
    ]
    assert (await desk.house.send("GET", PATH, who="node")).content == data


async def test_what_breaks_off_is_not_there_and_goes(desk: Desk) -> None:
    await desk.authenticated()

    async def broken() -> AsyncIterator[bytes]:
        yield packed(600_000)[:550_000]
        raise ConnectionError("gone")

    assert (await put(desk.house, broken())).status_code == 500
    assert (await desk.house.send("GET", PATH, who="node")).status_code == 404
    await sweep(desk.house)
    assert await kept(desk.house) == []


async def test_what_no_one_gave_up_goes_when_its_time_is_over(quick_desk: Desk) -> None:
    await quick_desk.authenticated()
    writer = quick_desk.house.services.writer
    await writer.write(lambda tx: archives.begin(tx, "a1", "claude-code_ada"))
    await writer.write(lambda tx: archives.add(tx, "a1", 0, b"x"))
    await sweep(quick_desk.house)
    assert len(await kept(quick_desk.house)) == 1
    quick_desk.house.clock.advance(3601)
    await sweep(quick_desk.house)
    assert await kept(quick_desk.house) == []


async def test_what_is_no_archive_or_too_large_is_refused() -> None:
    limits = Limits(reads_burst=PATIENT.reads_burst, archive_bytes=400_000)
    async with open_desk("sqlite:///:memory:", limits=limits) as desk:
        await desk.authenticated()
        assert (await put(desk.house, b"hello")).status_code == 400
        assert (await put(desk.house, b"")).status_code == 400
        answer = await put(desk.house, packed(10), **{"Content-Type": "text/plain"})
        assert answer.status_code == 415
        assert (await put(desk.house, packed(500_000))).status_code == 413
        assert (await put(desk.house, pieces(packed(500_000)))).status_code == 413
        assert (await put(desk.house, packed(10), who="operator")).status_code == 403
        await sweep(desk.house)
        assert await kept(desk.house) == []


async def test_purging_takes_the_archive_and_deleting_keeps_it(desk: Desk) -> None:
    body = {"name": "ada", "agent_type": "claude-code"}
    await desk.authenticated()
    stored = (await put(desk.house, packed(10))).json()
    await desk.house.send("DELETE", "/api/v1/accounts/claude-code_ada")
    assert (await desk.house.send("GET", PATH, who="node")).status_code == 404
    account = await desk.house.make("/api/v1/accounts", body)
    assert account["volume_archive_key"] == stored["archive_key"]
    assert (await desk.house.send("GET", PATH, who="node")).content == packed(10)
    await desk.house.send("DELETE", "/api/v1/accounts/claude-code_ada?purge=true")
    account = await desk.house.make("/api/v1/accounts", body)
    assert "volume_archive_key" not in account
    await sweep(desk.house)
    assert await kept(desk.house) == []
    rows = await desk.house.services.reader.read(lambda tx: tx.kept(ArchiveRow).find(limit=9))
    assert rows == []
