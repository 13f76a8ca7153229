"""The schema steps of PostgreSQL, as squawk reads them (docs/adr/0041-squawk.md)."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SQUAWK = Path(sys.executable).with_name("squawk")
STEPS = sorted((ROOT / "deployments/migrations").glob("*.sql"))


def squawk(*arguments: str) -> "subprocess.CompletedProcess[str]":
    if not SQUAWK.exists():
        pytest.skip("squawk is not installed")
    return subprocess.run(
        [SQUAWK, "--reporter=gcc", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30
    )


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_holds_nobody_up(step: Path) -> None:
    done = squawk(str(step))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_step_that_locks_a_table_for_long_is_found(tmp_path: Path) -> None:
    step = tmp_path / "0002_slow.sql"
    step.write_text("ALTER TABLE runs ADD COLUMN place text NOT NULL;\n")
    done = squawk(str(step))
    assert done.returncode == 1
    assert "adding-required-field" in done.stdout
