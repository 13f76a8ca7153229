"""What two files must agree on: the documents and the code they describe."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from runwatch_nodemanager.metrics import NodeMetrics
from runwatch_shared.settings import (
    ConsoleSettings,
    ContainerSettings,
    HealthThresholds,
    LeaseTimes,
    Limits,
    NodeSettings,
    ProcessLimits,
    Retention,
    ServerSettings,
)

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.zh.md")
SECTIONS: dict[str, type[msgspec.Struct]] = {
    "server": ServerSettings,
    "node": NodeSettings,
    "console": ConsoleSettings,
    "node.containers": ContainerSettings,
    "node.process_limits": ProcessLimits,
    "server.limits": Limits,
    "server.health": HealthThresholds,
    "server.lease": LeaseTimes,
    "server.retention": Retention,
}
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def shown(default: object) -> str:
    match default:
        case msgspec.Struct():
            return "a table"
        case bool():
            return "on" if default else "off"
        case "" | [] | {}:
            return "–"
        case _:
            return f"`{default}`"


def settings_of(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {
        field.encode_name: shown(
            field.default_factory() if field.default is msgspec.NODEFAULT else field.default
        )
        for field in msgspec.structs.fields(kind)
    }


def documented(section: str) -> dict[str, str]:
    text = (ROOT / "docs/settings.md").read_text()
    part = text.partition(f"`[{section}]`")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([a-z_]+)` \| ([^|]+) \| [^|]+\|$", part, re.MULTILINE))


def make_targets() -> dict[str, str]:
    text = (ROOT / "Makefile").read_text()
    return dict(re.findall(r"^([a-z-]+):.*## (.+)$", text, re.MULTILINE))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_documented_with_its_default(section: str) -> None:
    assert documented(section) == settings_of(SECTIONS[section])


@pytest.mark.parametrize("readme", READMES)
def test_every_make_target_is_in_the_readme_and_every_named_one_exists(readme: str) -> None:
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", (ROOT / readme).read_text(), re.MULTILINE))
    assert named == set(make_targets())


def test_make_targets_are_declared_phony() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert phony
    assert set(phony[1].replace("\\\n", " ").split()) == set(make_targets())


@pytest.mark.parametrize("readme", READMES)
def test_settings_named_in_the_readme_exist(readme: str) -> None:
    text = (ROOT / readme).read_text()
    known = {
        name
        for kind in (ServerSettings, NodeSettings, ConsoleSettings)
        for name in settings_of(kind)
    }
    heading = {"README.md": "\n## Settings\n", "README.zh.md": "\n## 设置\n"}[readme]
    rows = re.findall(
        r"^\| ([^|]+) \|", text.partition(heading)[2].partition("\n## ")[0], re.MULTILINE
    )
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    assert named
    assert named <= known


def test_the_two_readmes_have_the_same_sections_and_the_same_commands() -> None:
    english, chinese = ((ROOT / readme).read_text() for readme in READMES)
    for pattern in (r"^#+ ", r"^\|", r"^```", r"^- "):
        found = [len(re.findall(pattern, text, re.MULTILINE)) for text in (english, chinese)]
        assert found[0] == found[1], pattern
    blocks = [re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for text in (english, chinese)]
    without_remarks = [[re.sub(r" +#.*", "", block) for block in each] for each in blocks]
    assert without_remarks[0] == without_remarks[1]


@pytest.mark.parametrize(
    "document",
    [
        *READMES,
        "docs/settings.md",
        "docs/metrics.md",
        "docs/alerts.md",
        "docs/monitoring.md",
        "docs/zh/monitoring.md",
        "docs/logs.md",
        *(f"docs/runbooks/{page.name}" for page in sorted((ROOT / "docs/runbooks").glob("*.md"))),
    ],
)
def test_links_lead_to_files_that_exist(document: str) -> None:
    file = ROOT / document
    for target in LINK.findall(file.read_text()):
        if not target.startswith("http"):
            assert (file.parent / target).exists(), target


def test_every_direct_dependency_is_pinned_and_in_the_constraints() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    own = re.compile(r"runwatch\[")
    wanted = [
        requirement
        for requirement in [
            *project["dependencies"],
            *(line for extra in project["optional-dependencies"].values() for line in extra),
        ]
        if not own.match(requirement)
    ]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", requirement) for requirement in wanted)
    constraints = (ROOT / "requirements/constraints.txt").read_text().splitlines()
    assert set(wanted) <= set(constraints)


def test_each_decision_has_its_number_what_was_decided_and_why() -> None:
    records = sorted((ROOT / "docs/adr").glob("*.md"))
    numbers = [int(record.name[:4]) for record in records]
    assert numbers == list(range(1, len(numbers) + 1))
    for record in records:
        text = record.read_text()
        assert text.startswith(f"# {int(record.name[:4])}. "), record.name
        assert re.search(r"\*\*Decision:\*\*|^Decided: ", text, re.MULTILINE), record.name
        assert re.search(r"\*\*Context:\*\*|^Why: ", text, re.MULTILINE), record.name


def test_the_changelog_has_a_place_for_what_is_not_released() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in text
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version == "0.1.0" or f"## [{version}]" in text


def documented_metrics(part: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Type and label names by metric, as docs/metrics.md has them under a heading."""
    text = (ROOT / "docs/metrics.md").read_text().partition(f"## {part}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z_]+)` \| ([a-z]+) \| ([^|]+) \|", text, re.MULTILINE)
    return {
        name: (kind, frozenset() if labels == "–" else frozenset(labels.split(", ")))
        for name, kind, labels in rows
    }


def described(
    registry: CollectorRegistry, constant: str = ""
) -> dict[str, tuple[str, frozenset[str]]]:
    """Type and label names by metric, as a registry has them; those of the runtime left out."""
    found = {}
    for family in registry.collect():
        if family.name.startswith(("process_", "python_")):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        kind = "untyped" if family.type == "unknown" else family.type
        labels = {label for sample in family.samples for label in sample.labels}
        found[name] = (kind, frozenset(labels - {"le", constant}))
    return found


def test_the_metrics_of_a_node_are_those_documented() -> None:
    documented = documented_metrics("Node manager")
    found = described(NodeMetrics(node_id="n1", version="1").registry, "node_id")
    assert {name: kind for name, (kind, _) in found.items()} == {
        name: kind for name, (kind, _) in documented.items()
    }
    for name, (_, labels) in found.items():
        assert labels <= documented[name][1], name


def test_every_metric_is_documented_once() -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    names = re.findall(r"^\| `([a-z_]+)`", text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert len(documented_metrics("Server")) + len(documented_metrics("Node manager")) == len(names)
