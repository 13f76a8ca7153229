"""The server's own time never steps, and follows the clock it goes by within its bound."""

import json
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwatch_server import retention, steady_clock, sweeper
from runwatch_server.steady_clock import (
    MOST,
    STEER_EVERY_S,
    STEP_S,
    ClockNote,
    SteadyClock,
    boot_id,
)
from tests.clock import ManualClock
from tests.server.fleet.harbour import Harbour

SECOND_US = 1_000_000
DAY_S = 86_400


class Machine:
    """Its uptime and the clock on its wall."""

    def __init__(self) -> None:
        self.uptime_us = 5 * SECOND_US
        self.wall = ManualClock()

    def uptime(self) -> int:
        return self.uptime_us

    def pass_time(self, seconds: float) -> None:
        self.uptime_us += round(seconds * SECOND_US)
        self.wall.advance(seconds)

    def set_on(self, seconds: float) -> None:
        """Somebody sets the clock by so much."""
        self.wall.set_wall(self.wall.now() + timedelta(seconds=seconds))


@pytest.fixture
def machine() -> Machine:
    return Machine()


def clock_of(machine: Machine) -> SteadyClock:
    return SteadyClock(machine.wall.now_us(), uptime=machine.uptime)


STEPS = st.lists(
    st.tuples(st.booleans(), st.floats(0, STEER_EVERY_S), st.integers(-9, 9)),
    max_size=60,
)


@given(STEPS)
def test_it_never_goes_back_and_is_never_further_off_than_its_bound(
    steps: list[tuple[bool, float, int]],
) -> None:
    machine = Machine()
    clock = clock_of(machine)
    begun_us, begun_uptime_us, before_us = clock.now_us(), machine.uptime_us, clock.now_us()
    for is_set, seconds, days in steps:
        if is_set:
            machine.set_on(days * DAY_S)
        machine.pass_time(seconds)
        clock.steer(machine.wall.now_us())
        now_us = clock.now_us()
        passed_us = machine.uptime_us - begun_uptime_us
        assert before_us <= now_us
        assert abs(now_us - begun_us - passed_us) <= passed_us * MOST + len(steps)
        before_us = now_us


@pytest.mark.parametrize("off_s", [-DAY_S, -90, -0.2, 0.2, 90, DAY_S])
def test_it_comes_to_the_clock_it_follows_in_the_time_its_bound_needs(
    machine: Machine, off_s: float
) -> None:
    clock = clock_of(machine)
    machine.set_on(off_s)
    for _ in range(round(abs(off_s) / MOST / STEER_EVERY_S) + 30):
        clock.steer(machine.wall.now_us())
        machine.pass_time(STEER_EVERY_S)
    assert clock.now_us() == pytest.approx(machine.wall.now_us(), abs=0.01 * SECOND_US)


def test_where_nobody_steers_it_goes_on_by_the_uptime_alone(machine: Machine) -> None:
    clock = clock_of(machine)
    machine.set_on(DAY_S)
    clock.steer(machine.wall.now_us())
    began_us = clock.now_us()
    machine.pass_time(DAY_S)
    assert clock.now_us() - began_us == (DAY_S + 2 * STEER_EVERY_S * MOST) * SECOND_US


def test_a_step_is_said_once_and_a_drift_is_not(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    clock = clock_of(machine)
    for off_s, said in ((STEP_S - 1, 0), (DAY_S, 1), (0, 1), (-2 * DAY_S, 1)):
        machine.set_on(off_s)
        clock.steer(machine.wall.now_us())
        assert len(caplog.records) == said


class JumpingHarbour(Harbour):
    """A harbour whose server has a steady clock on a machine whose wall clock is set."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine
        self._steady = clock_of(machine)
        self.now_us = self._steady.now_us()

    def wait(self, seconds: float) -> None:
        self._machine.pass_time(seconds)
        self._steady.steer(self._machine.wall.now_us())
        self.now_us = self._steady.now_us()


@pytest.mark.parametrize("off_s", [DAY_S, -DAY_S, 3600, -3600])
def test_a_clock_that_is_set_ends_no_lease_deadline_or_retention_early_and_none_late(
    machine: Machine, off_s: int
) -> None:
    harbour = JumpingHarbour(machine)
    kept = msgspec.structs.replace(harbour.settings.retention, events_s=1800)
    harbour.settings = msgspec.structs.replace(harbour.settings, retention=kept)
    harbour.beat()
    done, run = harbour.running(), harbour.running(timeout_s=900)
    harbour.end(done)
    harbour.append(run, "approval_request", epoch=run.epoch, id="w", prompt="may I?")
    machine.set_on(off_s)

    def keep() -> None:
        bounds = retention.bounds_of(kept, harbour.now_us)
        harbour.write(lambda tx: retention.piece(tx, bounds))
        harbour.write(lambda tx: sweeper.prune(tx, kept))

    for _ in range(85):
        harbour.wait(10)
        harbour.beat(runs=[harbour.run(run.id)])
        harbour.sweep()
        keep()
    waiting = harbour.run(run.id)
    assert (waiting.status, waiting.cancel, waiting.lease_ended_us) == ("running", None, None)
    assert waiting.wait is not None
    assert harbour.events(done.id) != []
    for _ in range(11):
        harbour.wait(10)
        harbour.beat(runs=[harbour.run(run.id)])
        harbour.sweep()
    over = harbour.run(run.id).cancel
    assert over is not None
    assert over.reason == "timeout"
    for _ in range(95):
        harbour.wait(10)
        keep()
    assert harbour.events(done.id) == []
    harbour.store.close()


def test_the_next_start_goes_on_from_the_note_whatever_was_done_to_the_clock(
    machine: Machine, tmp_path: Path
) -> None:
    note = ClockNote(tmp_path / "clock.json", boot="b1")
    assert note.begin(machine.wall, uptime=machine.uptime) == machine.wall.now_us()
    note.write(clock_of(machine), uptime=machine.uptime)
    machine.pass_time(100)
    assert note.begin(machine.wall, uptime=machine.uptime) == machine.wall.now_us()
    right_us = machine.wall.now_us()
    machine.set_on(DAY_S)
    assert note.begin(machine.wall, uptime=machine.uptime) == right_us
    other = ClockNote(tmp_path / "clock.json", boot="b2")
    assert other.begin(machine.wall, uptime=machine.uptime) == machine.wall.now_us()


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "{}", '{"boot": "b"}', '{"boot": "b", "at_us": "x"}'),
        '{"boot": "b", "at_us": 1e400, "uptime_us": 0}',
        '{"boot": "b", "at_us": 99999999999999999999, "uptime_us": 0}',
        '{"boot": "b", "at_us": -99999999999999999999, "uptime_us": 0}',
    ],
)
def test_a_note_that_cannot_be_read_is_none(machine: Machine, tmp_path: Path, content: str) -> None:
    file = tmp_path / "clock.json"
    file.write_text(content)
    assert ClockNote(file, boot="b").begin(machine.wall) == machine.wall.now_us()
    unwritable = ClockNote(tmp_path / "none" / "clock.json", boot="b")
    unwritable.write(machine.wall)


def test_nothing_is_noted_where_a_boot_cannot_be_told(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steady_clock, "_BOOT_ID", tmp_path / "none")
    assert boot_id() is None
    ClockNote(tmp_path / "clock.json", boot=boot_id()).write(machine.wall)
    assert list(tmp_path.iterdir()) == []


def test_the_note_says_the_time_at_an_uptime(machine: Machine, tmp_path: Path) -> None:
    ClockNote(tmp_path / "clock.json", boot="b1").write(machine.wall, uptime=machine.uptime)
    assert json.loads((tmp_path / "clock.json").read_text()) == {
        "boot": "b1", "uptime_us": machine.uptime_us, "at_us": machine.wall.now_us(),
    }  # fmt: skip
