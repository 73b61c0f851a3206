"""A real Prometheus with the delivered configuration scrapes a master, and knows every query of alerts and panels."""

import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.acceptance.conftest import eventually, made
from tests.cluster.cluster import Cluster, succeeded, until
from tests.documents.markdown import ROOT
from tests.monitoring import rules
from tests.services.ports import HOST
from tests.services.programs import Process

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed"),
]
FOLDER = ROOT / "docker/prometheus"
EMPTY = {
    *("maybe_license_end_timestamp_seconds", "maybe_node_certificate_end_timestamp_seconds"),
    *("maybe_upgrade", "maybe_upgrade_nodes", "maybe_webhooks", "maybe_webhook_lag_max"),
    *("maybe_api_authentication_failures_total", "maybe_broker_move_waiting_nodes"),
}
"""Metrics without a sample as long as there is no such thing."""


@pytest.fixture
async def prometheus(lone: Cluster, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Its API. The configuration is as delivered, but for the targets and the token, and faster."""
    token = await closed(lone)
    (tmp_path / "token").write_text(token)
    settings: Any = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["scrape_configs"][0]["static_configs"] = [{"targets": [f"{HOST}:{lone.api_port}"]}]
    settings["scrape_configs"][0]["authorization"] = {"credentials_file": str(tmp_path / "token")}
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(settings))
    shutil.copy(rules.RULES, tmp_path)
    port = lone.ports.port(95)
    files = [f"--config.file={tmp_path}/prometheus.yaml", f"--storage.tsdb.path={tmp_path}/data"]
    command = [str(shutil.which("prometheus")), *files, f"--web.listen-address={HOST}:{port}"]
    program = Process("prometheus", command, tmp_path / "prometheus.log")
    await program.start()
    async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", trust_env=False, timeout=30) as client:
        await until(lambda: is_ready(client), "Prometheus to be ready", program)
        yield client
    await program.stop()


async def closed(lone: Cluster) -> str:
    """Close the API by an admin token, which this test's client has from now on; return one for metrics alone."""
    metrics = succeeded(await lone.api.post("/tokens", json={"name": "prometheus", "scopes": ["metrics"]})).json()
    admin = succeeded(await lone.api.post("/tokens", json={"name": "admin", "scopes": ["admin"]})).json()
    lone.api.headers["Authorization"] = f"Bearer {admin['token']}"
    return metrics["token"]


async def is_ready(client: httpx.AsyncClient) -> bool:
    with suppress(httpx.TransportError):
        return (await client.get("/-/ready")).status_code == 200
    return False


async def value(client: httpx.AsyncClient, expr: str) -> list[Any]:
    for name, text in {"$job": "maybe-master", "$__rate_interval": "10s"}.items():
        expr = expr.replace(name, text)
    answer = await client.get("/api/v1/query", params={"query": expr})
    assert answer.json()["status"] == "success", (expr, answer.text)
    return answer.json()["data"]["result"]


async def test_every_panel_has_values_and_no_alert_fires_in_a_healthy_fleet(
    lone: Cluster, prometheus: httpx.AsyncClient
):
    await made(lone, node_ids=[1])

    async def has_all() -> bool:
        succeeded(await lone.api.get("/nodes"))  # a rate needs requests between two scrapes
        empty = {expr for _, expr in rules.queries() if not await value(prometheus, expr)}
        assert {expr for expr in empty if not {name for name, _ in rules.metrics_in(expr)} <= EMPTY} == set()
        return True

    await eventually(has_all, 30)
    alerts = (await prometheus.get("/api/v1/rules")).json()["data"]["groups"]
    health = {rule["name"]: (rule["health"], rule["state"]) for group in alerts for rule in group["rules"]}
    assert set(health) == {one.name for one in rules.alerts()}
    assert {name for name, (state, _) in health.items() if state != "ok"} == set()
    assert {name for name, (_, state) in health.items() if state != "inactive"} == set()
