"""Frames that are none: each peer is answered with a close or cut off, and nobody else notices.

RUNWATCH_MALFORMED sets how many (10,000 in `make test-security`); the seed is printed.
"""

import asyncio
import base64
import os
import random
import struct
from collections import Counter

import pytest

from tests.server.sockets.serving import Served, serving, until
from tests.server.sockets.test_served import DELTA, client, frame

FRAMES = int(os.environ.get("RUNWATCH_MALFORMED", "400"))
AT_ONCE = 20
CLOSE = 0x8
OURS = {1001, 1002, 1003, 1007, 1009, 4400, 4429}
ECHOED = {0, 1000, 2999, 3000, 4999}
"""What a peer closes with, or closes without, is said back."""
DEADLINE_S = 20


def mangled(dice: random.Random) -> bytes:
    """One to three frames, most with something wrong: opcode, reserved bits, mask, length, text,
    fragments, close codes.
    """
    return b"".join(_frame(dice) for _ in range(dice.randint(1, 3)))


def _frame(dice: random.Random) -> bytes:
    opcode = dice.choice((0, 1, 1, 1, 2, 3, 5, 7, 8, 8, 9, 10, 11, 15))
    first = (dice.random() < 0.8) << 7 | dice.choice((0, 0, 0, 1, 2, 4, 7)) << 4 | opcode
    payload = _payload(dice, opcode)
    said = len(payload)
    if dice.random() < 0.2:
        said = dice.choice((0, 1, 125, 126, 65535, 65537, 2**32, 2**63 - 1, 2**63))
    masked = dice.random() < 0.9
    head = bytes([first])
    if said < 126 and dice.random() < 0.9:
        head += bytes([masked << 7 | said])
    elif said < 65536:
        head += bytes([masked << 7 | 126]) + struct.pack("!H", said)
    else:
        head += bytes([masked << 7 | 127]) + struct.pack("!Q", said)
    if not masked:
        return head + payload
    key = dice.randbytes(4)
    return head + key + bytes(byte ^ key[n % 4] for n, byte in enumerate(payload))


def _payload(dice: random.Random, opcode: int) -> bytes:
    if opcode == CLOSE and dice.random() < 0.8:
        code = dice.choice((0, 999, 1000, 1004, 1005, 1006, 1015, 2999, 3000, 4999, 5000, 65535))
        return struct.pack("!H", code) + dice.choice((b"", b"bye", b"\xff\xfe"))
    return dice.choice(
        (
            b"",
            b"{",
            b'{"type":"ping"}',
            b'{"type":"subscribe","id":' + b"9" * dice.randint(1, 40) + b"}",
            b"[" * dice.randint(1, 3000),
            b"\xff\xfe\x80",
            b"\xed\xa0\x80",
            dice.randbytes(dice.randint(0, 300)),
            b"a" * dice.choice((125, 126, 70_000)),
        )
    )


async def send_mangled(served: Served, path: str, data: bytes, key: bytes) -> int | None:
    """The code the server closes with; None where it cuts the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        writer.write(
            b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n"
            % (path.encode(), base64.b64encode(key))
        )
        async with asyncio.timeout(DEADLINE_S):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 "), head
            writer.write(data)
            # Whatever is left open waits for more of a frame: half a connection says there is none.
            writer.write_eof()
            return closing_code(await reader.read())
    except (ConnectionError, asyncio.IncompleteReadError):
        return None
    finally:
        writer.close()


def closing_code(data: bytes) -> int | None:
    """Of the close frame among what a server sent; its frames are whole and never masked."""
    place = 0
    while place + 2 <= len(data):
        opcode, size = data[place] & 15, data[place + 1]
        place += 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(data[place : place + width], "big")
            place += width
        if opcode == CLOSE:
            return int.from_bytes(data[place : place + 2], "big")
        place += size
    return None


@pytest.mark.timeout(900)
async def test_a_storm_of_malformed_frames_leaves_nothing_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seed = int(os.environ.get("RUNWATCH_TEST_SEED", random.randrange(2**32)))
    dice = random.Random(seed)
    codes: Counter[int | None] = Counter()
    async with serving() as served, client(served, DELTA) as bystander:
        await frame(bystander, "snapshot")
        for _ in range(0, FRAMES, AT_ONCE):
            storm = (
                send_mangled(served, DELTA, mangled(dice), dice.randbytes(16))
                for _ in range(AT_ONCE)
            )
            codes.update(await asyncio.gather(*storm))
        await until(lambda: len(served.hub.sockets) == 1, DEADLINE_S)
        await until(lambda: len(served.server.server_state.connections) == 1, DEADLINE_S)
        await bystander.send('{"type":"ping","id":7}')
        assert (await frame(bystander, "pong"))["id"] == 7, seed
    assert set(codes) - {None} <= OURS | ECHOED, (seed, codes)
    assert {1002, 1007, 4400} <= set(codes), (seed, codes, "too tame a storm")
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert not errors, (seed, errors)
