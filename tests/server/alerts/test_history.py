"""A session that is found long after it failed is shown, and nobody is called for it."""

from typing import Any

import msgspec
import pytest

from runwatch_server.alerts.kinds import USUAL_KINDS
from runwatch_server.alerts.message import alert_rule
from tests.server.domain.making import NOW_US, SECOND_US, run_row


@pytest.mark.parametrize(
    ("changes", "silent_s", "told"),
    [
        ({"origin": "found"}, 3600, False),
        ({"origin": "found"}, 30, True),
        ({"origin": "scheduled"}, 3600, True),
    ],
)
def test_what_is_long_over_when_it_is_found_makes_no_alert(
    changes: dict[str, Any], silent_s: int, told: bool
) -> None:
    before = run_row(last_activity_us=NOW_US - silent_s * SECOND_US, **changes)
    after = msgspec.structs.replace(before, status="failed")
    rule = alert_rule(USUAL_KINDS, include_text=False)
    assert [alert.kind for alert in rule(before, after, NOW_US)] == (["failed"] if told else [])
