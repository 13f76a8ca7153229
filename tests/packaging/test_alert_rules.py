"""Alerts of Prometheus: each fires and is silent in a case of `promtool`, and says what to do."""

import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deployments/prometheus/rules"
CASES = ROOT / "deployments/prometheus/tests/alerts.yml"
RUNBOOKS = ROOT / "docs/runbooks"
LEAST = 15
HEADINGS = ("## What it means", "## What to look at", "## What to do")


def alerts() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load((RULES / "alerts.yml").read_text())["groups"]
    told = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in told}) == len(told)
    return {rule["alert"]: rule for rule in told}


def cases() -> dict[str, list[list[Any]]]:
    """By alert: what each of its cases expects."""
    found: dict[str, list[list[Any]]] = defaultdict(list)
    for case in yaml.safe_load(CASES.read_text())["tests"]:
        for each in case["alert_rule_test"]:
            found[each["alertname"]].append(each["exp_alerts"])
    return found


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (make test installs it)")
    return subprocess.run(
        [program, *words], capture_output=True, text=True, timeout=50, check=False
    )


def test_every_case_comes_out_as_it_says() -> None:
    ran = promtool("test", "rules", str(CASES))
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_promtool_takes_the_rules() -> None:
    checked = promtool("check", "rules", *map(str, sorted(RULES.glob("*.yml"))))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_has_a_case_that_fires_and_one_that_is_silent() -> None:
    assert len(alerts()) >= LEAST
    found = cases()
    assert found.keys() == alerts().keys()
    for name, expected in found.items():
        assert any(expected_alerts for expected_alerts in expected), name
        assert any(not expected_alerts for expected_alerts in expected), name


def test_every_alert_says_how_bad_it_is_and_where_to_read_on() -> None:
    for name, alert in alerts().items():
        assert re.fullmatch(r"Runwatch[A-Z]\w+", name)
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}, name
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}, name
        page = f"docs/runbooks/{name}.md"
        assert alert["annotations"]["runbook_url"] == f"{{{{ $externalLabels.runbooks }}}}{page}"
        assert (ROOT / page).is_file(), name


def test_every_runbook_is_of_an_alert_and_says_what_to_look_at_and_do() -> None:
    pages = {page.stem: page.read_text() for page in RUNBOOKS.glob("*.md") if page.stem != "README"}
    assert pages.keys() == alerts().keys()
    index = (RUNBOOKS / "README.md").read_text()
    for name, text in pages.items():
        assert text.startswith(f"# {name}\n"), name
        assert [heading for heading in HEADINGS if heading not in text] == [], name
        assert f"]({name}.md)" in index, name
        assert alerts()[name]["labels"]["severity"] in text, name
