"""Where the recorded sessions of agents lie."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = Path(os.environ.get("RUNWATCH_SAMPLES", ROOT.parent / "shared" / "samples"))


def recording_paths(kind: str) -> list[object]:
    """Parameters for a test; one that says what is absent where there are no recordings."""
    found = sorted((SAMPLES / kind).glob("*.jsonl"))
    if found:
        return list(found)
    skip = pytest.mark.skip(reason=f"no recordings under {SAMPLES / kind}")
    return [pytest.param(Path("absent.jsonl"), marks=skip)]
