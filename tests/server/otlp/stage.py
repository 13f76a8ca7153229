"""Sending telemetry to a house and looking at what became of it."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from runwatch_server.otlp import ending
from tests.server.http.house import House
from tests.server.otlp.making import PROTOBUF, Body, in_protobuf

NOW = datetime(2026, 11, 23, 23, 40, tzinfo=UTC)
OUTCOMES = ("stored", "ignored", "duplicate", "rejected")


async def deliver(
    house: House, signal: str, *bodies: Body, who: str = "operator", protobuf: bool = False
) -> None:
    """Send bodies; nothing of them may be rejected."""
    for body in bodies:
        content = in_protobuf(signal, body) if protobuf else msgspec.json.encode(body)
        answer = await house.send(
            "POST",
            f"/v1/{signal}",
            who=who,
            content=content,
            headers=PROTOBUF if protobuf else None,
        )
        assert (answer.status_code, answer.content) == (200, b"" if protobuf else b"{}")


async def workflows(house: House) -> list[Any]:
    """Rows of the monitor, newest first."""
    found: list[Any] = (await house.get("/api/v1/monitor/workflows"))["workflows"]
    return found


async def only_run(house: House) -> Any:
    """The one run there is."""
    (row,) = await workflows(house)
    return await house.get(f"/api/v1/runs/{row['id']}")


async def events(house: House, run_id: str) -> list[Any]:
    page = await house.get(f"/api/v1/runs/{run_id}/events", limit=1000)
    found: list[Any] = page["events"]
    return found


async def pass_time(house: House, seconds: float) -> None:
    """Let time pass and do what is due then."""
    house.clock.advance(seconds)
    settings = house.services.settings
    await house.services.writer.write(lambda tx: ending.sweep(tx, settings=settings))


async def outcomes(house: House, signal: str = "logs") -> dict[str, int]:
    """What became of the records of a signal, by the server's own metric."""
    text = await house.metrics()
    name = "runwatch_otlp_records_total"
    values = {
        line.split(" ")[0]: float(line.split(" ")[1])
        for line in text.splitlines()
        if line.startswith(name)
    }
    return {each: int(values[f'{name}{{outcome="{each}",signal="{signal}"}}']) for each in OUTCOMES}


def tokens_of(run: Any) -> dict[str, int | None]:
    """The numbers of a run's usage that are compared."""
    usage = run["usage"] or {}
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    return {name: usage.get(name) for name in names}
