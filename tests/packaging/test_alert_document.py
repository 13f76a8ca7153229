"""What docs/alerts.md says is what the server sends."""

import json
import re
from pathlib import Path
from typing import Any

from runwatch_server.alerts.kinds import KINDS, USUAL_KINDS
from runwatch_server.alerts.message import SHOWN, alert_row, body_of
from runwatch_server.alerts.signing import keys_of, signed_headers
from runwatch_server.rows import WaitRow
from runwatch_shared.clock import SystemClock
from tests.server.alerts.receiver import SECRET
from tests.server.domain.making import NOW_US, run_row

TEXT = (Path(__file__).resolve().parents[2] / "docs/alerts.md").read_text()


def test_every_type_of_alert_is_in_the_table_with_its_default() -> None:
    rows = re.findall(r"^\| (`run\..*?) \| .*? \| (yes|no) \|$", TEXT, re.MULTILINE)
    documented = {
        kind: default == "yes"
        for named, default in rows
        for kind in re.findall(r"`run\.([a-z_]+)`", named)
    }
    assert documented == {kind: kind in USUAL_KINDS for kind in KINDS if kind != "test"}


def test_the_example_has_the_fields_an_alert_has() -> None:
    example = json.loads(re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)[0])
    wait = WaitRow(kind="approval", since_us=NOW_US, prompt="", seq=1, deadline_us=NOW_US)
    row = run_row(wait=wait, open_waits=1)
    sent = json.loads(body_of(alert_row("waiting", row, NOW_US, include_text=False), "f" * 16))
    assert list(example) == list(sent)
    assert set(example["workflow"]) <= {*SHOWN, "waiting", "usage"}
    assert set(example["workflow"]) <= set(sent["workflow"])
    assert set(example["workflow"]["waiting"]) == set(sent["workflow"]["waiting"])


def test_the_lines_that_check_a_signature_do() -> None:
    named: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[0], named)  # the document's own lines
    now_s = SystemClock().now_us() // 1_000_000
    headers = signed_headers(keys_of(SECRET), alert_id="alert-1", timestamp_s=now_s, body=b"{}")
    assert named["is_genuine"](headers, b"{}", SECRET)
    assert not named["is_genuine"](headers, b"{ }", SECRET)
    assert not named["is_genuine"]({**headers, "webhook-id": "alert-2"}, b"{}", SECRET)
    old = signed_headers(keys_of(SECRET), alert_id="a", timestamp_s=now_s - 999, body=b"{}")
    assert not named["is_genuine"](old, b"{}", SECRET)
