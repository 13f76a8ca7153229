"""A load of event batches from a process of its own: keep-alive connections, one run each.

`python -m tests.benchmarks._reporters HOST PORT TOKEN BATCH CONNECTIONS REQUESTS RUN…` posts and
prints the seconds it took and how many answers were 201, as JSON.
"""

import asyncio
import json
import sys
import time
from functools import partial

import uvloop

PAYLOAD_CHARS = 250


class Reporter(asyncio.Protocol):
    """One connection that posts its batches one after the other."""

    def __init__(self, requests: list[bytes], done: "asyncio.Future[int]") -> None:
        self.requests = requests
        self.done = done
        self.sent = 0
        self.created = 0
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) < length:
            return
        self.created += head.startswith(b"HTTP/1.1 201")
        self.buffer = body[length:]
        self._next()

    def _next(self) -> None:
        if self.sent == len(self.requests):
            self.transport.close()
            self.done.set_result(self.created)
            return
        self.transport.write(self.requests[self.sent])  # type: ignore[attr-defined]  # a write transport
        self.sent += 1

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed"))


def request(host: str, token: str, run_id: str, first: int, batch: int) -> bytes:
    """One POST of `batch` events from seq `first`."""
    events = [
        {
            "seq": seq,
            "type": "message",
            "timestamp": "2026-11-23T10:31:22.000000Z",
            "payload": {"role": "assistant", "content": f"{seq:07d} " + "x" * PAYLOAD_CHARS},
        }
        for seq in range(first, first + batch)
    ]
    body = json.dumps({"events": events, "epoch": 1}, separators=(",", ":")).encode()
    head = (
        f"POST /api/v1/runs/{run_id}/events HTTP/1.1\r\nHost: {host}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def report(
    host: str, port: int, token: str, batch: int, requests: int, runs: list[str]
) -> tuple[float, int]:
    """Seconds from the first byte sent to the last answer, and how many batches were created."""
    loop = asyncio.get_running_loop()
    scripts = [
        [request(host, token, run, 1 + n * batch, batch) for n in range(requests)] for run in runs
    ]
    done: list[asyncio.Future[int]] = [loop.create_future() for _ in runs]
    begun = time.perf_counter()
    for script, future in zip(scripts, done, strict=True):
        await loop.create_connection(partial(Reporter, script, future), host, port)
    created = sum(await asyncio.gather(*done))
    return time.perf_counter() - begun, created


if __name__ == "__main__":
    host, port, token, batch, requests, *runs = sys.argv[1:]
    seconds, created = uvloop.run(report(host, int(port), token, int(batch), int(requests), runs))
    print(json.dumps({"seconds": seconds, "created": created}))
