"""Panels of a Grafana dashboard in a few words, laid out in rows of 24 columns.

The shape is that of dashboards of Grafana 10 and later, `schemaVersion` 39.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS: Final = 24
HEIGHTS: Final = {"stat": 4, "timeseries": 8, "bargauge": 8, "alertlist": 8}

Kind = Literal["stat", "timeseries", "bargauge", "alertlist"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One expression, and how its series are named."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One panel. ``red`` is the value from which a stat is red; ``unit`` one of Grafana's."""

    title: str
    queries: Sequence[Query]
    kind: Kind = "timeseries"
    unit: str = "short"
    width: int = 8
    stacked: bool = False
    red: float | None = None
    says: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A heading, and the panels below it."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dashboard:
    """``variables`` are filters: the name of a label, and a series that has it."""

    uid: str
    title: str
    rows: Sequence[Row]
    variables: Sequence[tuple[str, str]] = ()


def dashboard_json(dashboard: Dashboard) -> dict[str, Any]:
    """What Grafana reads."""
    panels: list[dict[str, Any]] = []
    top = 0
    for row in dashboard.rows:
        panels.append(_heading(row.title, len(panels) + 1, top))
        top += 1
        left = highest = 0
        for panel in row.panels:
            height = HEIGHTS[panel.kind]
            if left + panel.width > COLUMNS:
                top, left, highest = top + highest, 0, 0
            place = {"h": height, "w": panel.width, "x": left, "y": top}
            panels.append(_panel(panel, len(panels) + 1, place))
            left, highest = left + panel.width, max(highest, height)
        top += highest
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["runwatch"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "links": [
            {
                "asDropdown": False,
                "icon": "external link",
                "includeVars": True,
                "keepTime": True,
                "tags": ["runwatch"],
                "targetBlank": False,
                "title": "",
                "type": "dashboards",
            }
        ],
        "annotations": {"list": []},
        "templating": {"list": [_source(), *(_filter(*each) for each in dashboard.variables)]},
        "panels": panels,
    }


def _source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "runwatch-prometheus"},
        "hide": 0,
        "options": [],
        "refresh": 1,
    }


def _filter(label: str, series: str) -> dict[str, Any]:
    question = f"label_values({series}, {label})"
    return {
        "name": label,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": question,
        "query": {"query": question, "refId": "A"},
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "options": [],
        "refresh": 2,
        "sort": 1,
    }


def _heading(title: str, number: int, top: int) -> dict[str, Any]:
    place = {"h": 1, "w": COLUMNS, "x": 0, "y": top}
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "gridPos": place,
        "panels": [],
    }


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    drawn: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": DATASOURCE,
        "gridPos": place,
        "options": OPTIONS[panel.kind],
    }
    if panel.kind != "alertlist":
        drawn["fieldConfig"] = {"defaults": _look(panel), "overrides": []}
        drawn["targets"] = [
            {
                "refId": chr(ord("A") + index),
                "datasource": DATASOURCE,
                "expr": query.expr,
                "legendFormat": query.legend or panel.title,
                "range": True,
            }
            for index, query in enumerate(panel.queries)
        ]
    return drawn


def _look(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red is not None:
        steps.append({"color": "red", "value": panel.red})
    look: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.kind == "timeseries":
        look["min"] = 0
        look["custom"] = {
            "drawStyle": "line",
            "fillOpacity": 30 if panel.stacked else 5,
            "lineWidth": 1,
            "showPoints": "never",
            "stacking": {"group": "A", "mode": "normal" if panel.stacked else "none"},
        }
    return look


_CALCULATION: Final = {"calcs": ["lastNotNull"], "fields": "", "values": False}
OPTIONS: Final[dict[Kind, dict[str, Any]]] = {
    "stat": {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": _CALCULATION,
        "textMode": "auto",
    },
    "timeseries": {
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "bargauge": {
        "displayMode": "gradient",
        "orientation": "horizontal",
        "reduceOptions": _CALCULATION,
        "showUnfilled": True,
    },
    "alertlist": {
        "alertInstanceLabelFilter": "",
        "alertName": "Runwatch",
        "dashboardAlerts": False,
        "datasource": "Prometheus",
        "groupMode": "default",
        "maxItems": 20,
        "sortOrder": 3,
        "stateFilter": {"error": True, "firing": True, "noData": False, "pending": True},
        "viewMode": "list",
    },
}
