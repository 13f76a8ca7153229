"""The dashboards are what their source says, and of the shape Grafana reads.

The records below are the part of Grafana's dashboard schema (schemaVersion 39) that is used; a
field that is not in them, or of another type, is refused.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
import yaml
from msgspec import Meta, Struct

import dashboards

GRAFANA = Path(dashboards.__file__).parent
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
COLUMNS = 24
UNITS = {"short", "s", "bytes", "percentunit", "currencyUSD"}


class Source(Struct, forbid_unknown_fields=True):
    type: Literal["prometheus"]
    uid: Literal["${datasource}"]


class Place(Struct, forbid_unknown_fields=True):
    h: Annotated[int, Meta(gt=0)]
    w: Annotated[int, Meta(gt=0, le=COLUMNS)]
    x: Annotated[int, Meta(ge=0, lt=COLUMNS)]
    y: Annotated[int, Meta(ge=0)]


class Target(Struct, forbid_unknown_fields=True):
    refId: Annotated[str, Meta(pattern="^[A-Z]$")]  # noqa: N815  # Grafana's name
    datasource: Source
    expr: Annotated[str, Meta(min_length=1)]
    legendFormat: Annotated[str, Meta(min_length=1)]  # noqa: N815
    range: Literal[True]


class Step(Struct, forbid_unknown_fields=True):
    color: str
    value: float | None


class Thresholds(Struct, forbid_unknown_fields=True):
    mode: Literal["absolute", "percentage"]
    steps: list[Step]


class Look(Struct, forbid_unknown_fields=True):
    unit: str
    thresholds: Thresholds
    min: float | None = None
    custom: dict[str, Any] = {}


class Fields(Struct, forbid_unknown_fields=True):
    defaults: Look
    overrides: list[Any]


class Panel(Struct, forbid_unknown_fields=True):
    id: int
    type: Literal["row", "stat", "timeseries", "bargauge", "alertlist"]
    title: Annotated[str, Meta(min_length=1)]
    gridPos: Place  # noqa: N815
    description: str = ""
    datasource: Source | None = None
    options: dict[str, Any] = {}
    fieldConfig: Fields | None = None  # noqa: N815
    targets: list[Target] = []
    collapsed: bool = False
    panels: list[Any] = []


class Variable(Struct, forbid_unknown_fields=True):
    name: str
    label: str
    type: Literal["datasource", "query"]
    query: str | dict[str, str]
    current: dict[str, str | list[str]]
    hide: Literal[0, 1, 2]
    options: list[Any]
    refresh: Literal[0, 1, 2]
    datasource: Source | None = None
    definition: str = ""
    includeAll: bool = False  # noqa: N815
    allValue: str | None = None  # noqa: N815
    multi: bool = False
    sort: int = 0


class Dashboard(Struct, forbid_unknown_fields=True):
    uid: Annotated[str, Meta(min_length=1, max_length=40, pattern="^[a-z-]+$")]
    title: str
    tags: list[str]
    schemaVersion: Literal[39]  # noqa: N815
    version: int
    editable: bool
    graphTooltip: Literal[0, 1, 2]  # noqa: N815
    refresh: str
    time: dict[str, str]
    timezone: Literal["browser", "utc", ""]
    links: list[dict[str, Any]]
    annotations: dict[str, list[Any]]
    templating: dict[Literal["list"], list[Variable]]
    panels: list[Panel]


def read(file: Path) -> Dashboard:
    return msgspec.json.decode(file.read_bytes(), type=Dashboard)


def test_the_files_are_what_their_source_says() -> None:
    written = {file: file.read_text() for file in FILES}
    assert written == dashboards.texts(), "make dashboards"
    assert len(FILES) == 4


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_is_of_the_shape_grafana_reads(file: Path) -> None:
    dashboard = read(file)
    assert file.stem == dashboard.uid
    ids = [panel.id for panel in dashboard.panels]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in dashboard.panels:
        place = panel.gridPos
        cells = {
            (x, y)
            for x in range(place.x, place.x + place.w)
            for y in range(place.y, place.y + place.h)
        }
        assert max(x for x, _ in cells) < COLUMNS, panel.title
        assert not cells & taken, panel.title
        taken |= cells
        refs = [target.refId for target in panel.targets]
        assert len(set(refs)) == len(refs), panel.title
        if panel.type not in {"row", "alertlist"}:
            assert panel.targets, panel.title
            assert panel.fieldConfig, panel.title
            assert panel.fieldConfig.defaults.unit in UNITS, panel.title


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboards_variables_are_those_it_uses(file: Path) -> None:
    text = file.read_text()
    for variable in read(file).templating["list"]:
        assert f"${{{variable.name}}}" in text or f"${variable.name}\\" in text, variable.name


def test_titles_and_uids_are_of_one_dashboard_each() -> None:
    found = [read(file) for file in FILES]
    assert len({each.uid for each in found}) == len({each.title for each in found}) == len(found)


def test_provisioning_finds_source_and_dashboards() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["type"] == "prometheus"
    chosen = read(FILES[0]).templating["list"][0]
    assert chosen.current["value"] == source["uid"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/runwatch.yml").read_text())[
        "providers"
    ]
    assert provider["options"]["path"] == "${RUNWATCH_DASHBOARDS}"
