"""A short round of `python -m tests.server.fuzz`: every operation of the document, a few calls."""

from pathlib import Path

import pytest

from runwatch_server.app import ROUTES
from tests.server.fuzz.calls import Fuzz, fuzzed_server

CALLS = 400


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_generated_calls_get_what_the_document_says(tmp_path: Path) -> None:
    with fuzzed_server(tmp_path) as server:
        report = Fuzz(server).run(CALLS, number=1)
        assert "Traceback" not in server.log()
    assert report.failures == {}
    assert report.calls >= CALLS
    shown = [route for route in ROUTES if not route.hidden and route.method != "*"]
    assert len(report.by_operation) == len(shown)
    assert {200, 201, 400, 404} <= set(report.statuses)
