"""Tags and facts of log lines: what the code writes, the notes on tags, docs/logs.md and the
contract say the same.
"""

import ast
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from runwatch_shared.logs import NODE_TAGS, SERVER_TAGS, Facts
from runwatch_shared.logtags import NODE_NOTES, SERVER_NOTES
from tests.packaging.log_tables import DOCUMENT, filled

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("RUNWATCH_SAMPLES", ROOT.parent / "shared/samples")).parent
CONTRACT = SHARED / "contract.md"
TIERS = {"server": SERVER_NOTES, "nodemanager": NODE_NOTES}
OF_RUNS = frozenset({"run_id", "epoch", "agent_type"})
WRAPPERS = {
    ("account.py", "say"): (None, OF_RUNS),
    ("execution.py", "say"): (None, OF_RUNS),
    ("following.py", "say"): (None, OF_RUNS),
    ("follower.py", "_log"): (None, frozenset({"run_id"})),
    ("delivery.py", "_log"): ("event.report", frozenset()),
    ("beat.py", "_log"): ("node.heartbeat", frozenset()),
    ("sender.py", "_say"): ("alert", frozenset()),
}
"""Functions that write lines for their callers: file and name, the tag they write where callers
name none, and the facts they add."""
ANYWHERE = {"request_id", "trace_id", "traceback"}

Written = dict[str, set[str]]


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield str(getattr(node.func, "attr", getattr(node.func, "id", ""))), node


def tags_in(call: ast.Call, known: frozenset[str]) -> list[str]:
    """Tags among what a call is given, also where it chooses between two."""
    return [
        node.value
        for argument in call.args
        for node in ast.walk(argument)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in known
    ]


@cache
def written(tier: str) -> Written:
    """Facts by tag, of every call that writes a line."""
    known = SERVER_TAGS if tier == "server" else NODE_TAGS
    found: Written = defaultdict(set)
    for file in [*(ROOT / tier).rglob("*.py"), *(ROOT / "shared/runwatch_shared").glob("*.py")]:
        if file.name in ("logs.py", "logtags.py"):
            continue
        tree = ast.parse(file.read_text())
        for name, call in calls(tree):
            default, added = WRAPPERS.get((file.name, name), (None, frozenset[str]()))
            if file.name == "log_signals.py":
                default = "server" if tier == "server" else "node"
            if name != "log" and (file.name, name) not in WRAPPERS and "say" not in name:
                continue
            tags = tags_in(call, known) or ([default] if default else [])
            facts = {keyword.arg.rstrip("_") for keyword in call.keywords if keyword.arg}
            for tag in tags:
                found[tag] |= (facts - {"exc_info"}) | added
    return found


@pytest.mark.parametrize("tier", TIERS)
def test_every_tag_has_its_note_and_every_fact_of_a_note_is_a_key(tier: str) -> None:
    notes = TIERS[tier]
    assert notes.keys() == (SERVER_TAGS if tier == "server" else NODE_TAGS)
    keys = {key.rstrip("_") for key in Facts.__annotations__}
    for tag, note in notes.items():
        facts = note.facts.split()
        assert len(set(facts)) == len(facts), tag
        assert set(facts) <= keys, tag
        assert set(note.levels.split()) <= {"debug", "info", "warning", "error"}, tag


@pytest.mark.parametrize("tier", TIERS)
def test_every_tag_is_written_and_with_no_fact_that_its_note_does_not_name(tier: str) -> None:
    found, notes = written(tier), TIERS[tier]
    assert {tag for tag in notes if not found.get(tag)} == set()
    wrong = {tag: facts - set(notes[tag].facts.split()) - ANYWHERE for tag, facts in found.items()}
    assert {tag: facts for tag, facts in wrong.items() if facts} == {}


@pytest.mark.parametrize("tier", TIERS)
def test_every_fact_of_a_note_is_written_by_something(tier: str) -> None:
    found, notes = written(tier), TIERS[tier]
    spread = {"server": {"instance"}, "nodemanager": {"login"}}[tier]
    for tag, note in notes.items():
        if tag not in spread:
            assert set(note.facts.split()) - found[tag] == set(), tag


def test_the_document_holds_the_tables_of_the_notes() -> None:
    text = DOCUMENT.read_text()
    assert filled(text) == text, "python -m tests.packaging.log_tables"


def test_the_contract_names_no_tag_or_fact_that_is_not_written() -> None:
    if not CONTRACT.exists():
        pytest.skip(f"no contract at {CONTRACT}")
    part = CONTRACT.read_text().partition("## 16.")[2].partition("\n## ")[0]
    server, _, node = part.partition("| tag (node manager)")
    for text, tier in ((server, "server"), (node, "nodemanager")):
        notes = {tag: note.facts for tag, note in TIERS[tier].items()}
        rows = re.findall(r"^\| (\[[^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
        assert len(rows) >= 4
        named = {tag for head, _ in rows for tag in re.findall(r"\[([a-z_.]+)\]", head)}
        assert named <= notes.keys()
        for head, facts in rows:
            tags = re.findall(r"\[([a-z_.]+)\]", head)
            wanted = re.findall(r"[a-z_]+", re.sub(r"\([^)]*\)|as named above", "", facts))
            known = {fact for tag in tags for fact in notes[tag].split()}
            assert set(wanted) - known == set(), head


def test_the_example_for_loki_reads_keys_that_lines_have_and_labels_of_closed_sets_only() -> None:
    text = (ROOT / "deployments/logging/runwatch.alloy").read_text()
    assert text.count("{") == text.count("}")
    keys = {key.rstrip("_") for key in Facts.__annotations__} | {"time", "level", "tag"}
    read = dict(re.findall(r'^ +(\w+) += "(\w+)",$', text, re.MULTILINE))
    assert len(read) > 5
    assert set(read.values()) | {"request_id"} <= keys
    assert set(read) == set(read.values())
    (labels,) = re.findall(r"stage\.labels \{\s+values = \{([^}]*)\}", text)
    assert re.findall(r"(\w+) =", labels) == ["level", "tag"]
    (metadata,) = re.findall(r"stage\.structured_metadata \{\s+values = \{([^}]*)\}", text)
    assert set(re.findall(r"(\w+) =", metadata)) < set(read)
