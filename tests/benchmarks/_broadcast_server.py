"""`… -m tests.benchmarks._broadcast_server TIMES BYTES A_SECOND`: what the websockets library does
with change frames of a size: `broadcast()` to everybody, at a pace; when, as `_timed_server` says.

Prints its port; sends from the first line of standard input to the second.
"""

import asyncio
import sys
import time
from pathlib import Path

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from runwatch_server.fanout.frames import encode


async def main(times: Path, size: int, a_second: float) -> None:
    connections: set[ServerConnection] = set()
    going = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told() -> None:
        sys.stdin.buffer.readline()
        going.clear() if going.is_set() else going.set()

    async def handler(connection: ServerConnection) -> None:
        connections.add(connection)
        await connection.wait_closed()
        connections.discard(connection)

    loop.add_reader(sys.stdin, told)
    async with serve(
        handler, "127.0.0.1", 0, compression=None, ping_interval=None, backlog=2048
    ) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await going.wait()
        due_s, revision, lines = loop.time(), 0, []
        while going.is_set():
            revision += 1
            lines.append(f"{revision} {time.time_ns() // 1000}\n")
            frame = {"type": "change", "sub": 0, "previous": revision - 1, "revision": revision}
            broadcast(connections, encode(frame | {"row": "x" * size}).decode())
            due_s += 1 / a_second
            await asyncio.sleep(max(0.0, due_s - loop.time()))
        times.write_text("".join(lines))
        print("done", flush=True)
    loop.remove_reader(sys.stdin)


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
