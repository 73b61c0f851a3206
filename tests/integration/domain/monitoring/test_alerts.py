"""The alerts and the dashboard that operators get ask for metrics that a master has, and fire when they should."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.documents.markdown import ROOT, anchors
from tests.integration.conftest import Api
from tests.monitoring import rules
from tests.monitoring.alert_cases import CASES

SUFFIX = re.compile(r"_(bucket|sum|count)$")


async def families_of(api: Api) -> dict[str, set[str]]:
    """The labels of each metric of a master, those without a sample included."""
    node = await api.node()
    await api.proxy(node)
    text = (await api.http.get("/metrics")).text
    found = {line.split()[2]: set[str]() for line in text.splitlines() if line.startswith("# TYPE")}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name if sample.name in found else SUFFIX.sub("", sample.name)
            found[name] |= set(sample.labels)
    return found


async def test_every_metric_of_the_alerts_and_of_the_dashboard_is_one_of_a_master(api: Api):
    known = await families_of(api)
    asked = [one.expr for one in rules.alerts()] + [expr for _, expr in rules.queries()]
    used = {found for expr in asked for found in rules.metrics_in(expr)}
    assert {name for name, _ in used if SUFFIX.sub("", name) not in known and name not in known} == set()
    wrong = {
        (name, label)
        for name, labels in used
        for label in labels - known.get(name, known.get(SUFFIX.sub("", name), set())) - {"le"}
        if known.get(name)
    }
    assert wrong == set()


async def test_every_metric_is_in_the_dashboard_or_in_an_alert(api: Api):
    asked = " ".join([*(one.expr for one in rules.alerts()), *(expr for _, expr in rules.queries())])
    assert {name for name in await families_of(api) if name not in asked} == set()


@pytest.mark.parametrize("alert", rules.alerts(), ids=lambda alert: alert.name)
def test_an_alert_has_a_severity_a_summary_and_an_entry_in_the_runbook(alert: rules.Alert):
    assert alert.severity in ("warning", "critical")
    assert set(alert.annotations) == {"summary", "description", "runbook"}
    path, _, anchor = alert.annotations["runbook"].partition("#")
    assert anchor in anchors(ROOT / path)


def test_every_alert_fires_in_some_case():
    assert {one.name for one in rules.alerts()} == {name for case in CASES.values() for name in case.fires}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian's prometheus) is not installed")
async def test_each_alert_fires_in_its_case_alone(tmp_path: Path):
    file = tmp_path / "cases.yaml"
    file.write_text(rules.promtool_tests())
    done = await asyncio.to_thread(
        subprocess.run, ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian's prometheus) is not installed")
async def test_promtool_has_nothing_to_say_about_the_configuration():
    command = [
        "promtool",
        "check",
        "config",
        "--lint=all",
        "--lint-fatal",
        str(rules.RULES.with_name("prometheus.yaml")),
    ]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_has_what_grafana_10_needs_to_import_it():
    found = rules.dashboard()
    assert found["schemaVersion"] >= 38
    assert found["id"] is None
    ids = [panel["id"] for panel in found["panels"]]
    assert len(ids) == len(set(ids))
    assert all({"type", "title", "gridPos", "datasource"} <= panel.keys() for panel in rules.panels())
    assert {panel["datasource"]["uid"] for panel in rules.panels()} == {"${datasource}"}


def test_panels_of_the_dashboard_do_not_overlap():
    taken: set[tuple[int, int]] = set()
    for panel in rules.dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
