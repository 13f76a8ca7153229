"""Health thresholds come from every place a setting can come from, and the server shows them."""

from pathlib import Path

import msgspec

from runwatch_shared.layers import load_settings
from runwatch_shared.settings import HealthThresholds, ServerSettings
from tests.server.http.house import open_house


def test_thresholds_come_from_the_file_and_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "runwatch.toml"
    file.write_text("[server.health]\nstalled_s = 60\nlooping_calls = 3\n")
    loaded = load_settings(ServerSettings, "server", config=file, environment={})
    assert (loaded.health.stalled_s, loaded.health.looping_calls) == (60, 3)
    environment = {"RUNWATCH_HEALTH": '{"stalled_s": 90, "slow_s": 10}'}
    loaded = load_settings(ServerSettings, "server", config=file, environment=environment)
    assert (loaded.health.stalled_s, loaded.health.slow_s) == (90, 10)


async def test_the_server_shows_every_threshold_as_it_is_set() -> None:
    chosen = HealthThresholds(
        stalled_s=1, looping_calls=2, looping_window=3, slow_s=4, stuck_queued_s=5, waiting_long_s=6
    )
    async with open_house(health=chosen) as house:
        info = await house.get("/api/v1/server", who="viewer")
    assert info["health_thresholds"] == msgspec.to_builtins(chosen)
