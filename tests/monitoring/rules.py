"""The rules of Prometheus and the dashboard of Grafana, as values."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from tests.documents.markdown import ROOT
from tests.monitoring.alert_cases import CASES, HEALTHY

RULES, DASHBOARD = ROOT / "docker/prometheus/rules.yaml", ROOT / "docker/grafana/dashboard.json"
METRIC = re.compile(r"\b(maybe_[a-z_]+)(\{[^}]*\})?")
LABEL = re.compile(r"([a-z]+)\s*(?:=~|!~|!=|=)")


@dataclass(frozen=True)
class Alert:
    name: str
    expr: str
    annotations: dict[str, str]
    severity: str


@cache
def alerts() -> tuple[Alert, ...]:
    """Raises when the file has another shape."""
    groups: Any = yaml.safe_load(RULES.read_text())["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    return tuple(Alert(one["alert"], one["expr"], one["annotations"], one["labels"]["severity"]) for one in found)


@cache
def dashboard() -> Any:
    return json.loads(DASHBOARD.read_text())


def panels() -> Iterator[Any]:
    """Every panel but rows."""
    yield from (panel for panel in dashboard()["panels"] if panel["type"] != "row")


def queries() -> Iterator[tuple[str, str]]:
    """(title, expression) of every query of the dashboard."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def metrics_in(expr: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Each metric of an expression, with the labels that the expression compares."""
    for name, braces in METRIC.findall(expr):
        yield name, frozenset(LABEL.findall(braces)) - {"instance", "job"}


def promtool_tests() -> str:
    """Unit tests for `promtool test rules`: which alerts fire in each case, and how many of each."""
    tests = [
        {
            "interval": "1m",
            "input_series": [
                {"series": series, "values": lasting(values)} for series, values in {**HEALTHY, **one.series}.items()
            ],
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": one.at,
                    "exp_samples": [
                        {"labels": f'{{alertname="{name}"}}', "value": count} for name, count in one.fires.items()
                    ],
                }
            ],
        }
        for one in CASES.values()
    ]
    return yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests})


def lasting(values: str) -> str:
    """The values for two hours: the last run is made longer."""
    head, _, count = values.rpartition("x")
    return f"{head}x{int(count) + 60}"
