"""/metrics and the ids of requests."""

import asyncio
import re
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from master.broker import Broker
from master.db.database import Database
from master.domain.monitoring.certificates import Certificates
from master.errors import DatabaseAway
from master.sync.outbox import Outbox
from shared.bus.envelopes import Outgoing
from shared.proxies import NodeId
from tests.integration.conftest import REQUEST, Api
from tests.master.one_link import OneLink
from tests.tls.authority import Authority


async def metrics(api: Api) -> dict[str, float]:
    """Values by name and labels."""
    return values_of((await api.http.get("/metrics")).text)


def values_of(text: str) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})?', name) for name, _, _ in lines)
    return {name: float(value) for name, _, value in lines}


async def test_metrics_tell_of_the_fleet_without_a_label_for_each_proxy(api: Api):
    node = await api.node()
    await api.node()
    for _ in range(3):
        await api.proxy(node, password="hush")
    found = await metrics(api)
    assert found['maybe_proxies{state="pending"}'] == 3
    assert found['maybe_nodes{state="active",link="online"}'] == 2
    assert (found["maybe_sync_lag_max"], found["maybe_sync_lag"], found["maybe_sync_lagging_nodes"]) == (3, 3, 1)
    assert (found["maybe_events_last_id"], found["maybe_bus_up"], found["maybe_database_up"]) == (3, 0, 1)
    assert "hush" not in str(found)


async def test_the_metrics_of_the_fleet_name_troubled_and_lagging_nodes_and_the_masters_that_run(api: Api):
    node, silent = await api.node(), await api.node()
    await api.proxy(node)
    await api.proxy(silent)
    await api.rows.execute("UPDATE node_status SET trouble = 'a full disk' WHERE node_id = $1", node)
    await api.rows.execute("UPDATE node_status SET online = false WHERE node_id = $1", silent)
    for id_, age in (("a", 0), ("b", 5), ("killed", 60)):
        values = "($1, 'h', '1.0.0', now(), now() - $2::int * interval '1 s')"
        await api.rows.execute(
            f"INSERT INTO masters (id, host, version, started_at, last_seen_at) VALUES {values}", id_, age
        )
    found = await metrics(api)
    assert (found["maybe_sync_lagging_nodes"], found["maybe_sync_lagging_online_nodes"]) == (2, 1)
    assert (found["maybe_troubled_nodes"], found['maybe_masters{version="1.0.0"}']) == (1, 2)
    assert found['maybe_license{state="community"}'] == 1


async def test_the_metrics_have_the_first_end_of_the_certificates_of_nodes(api: Api):
    for expires_at, self_made, problem in (
        ("2030-01-02T00:00:00Z", "false", "the key is another one's"),
        ("2030-01-01T00:00:00Z", "false", ""),
        ("2029-01-01T00:00:00Z", "true", ""),
    ):
        stored = f'{{"expires_at": "{expires_at}", "self_made": {self_made}, "problem": "{problem}"}}'
        node = await api.node()
        await api.rows.execute("UPDATE node_status SET tls_certificate = $2 WHERE node_id = $1", node, stored)
    found = await metrics(api)
    first = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
    assert found['maybe_node_certificate_end_timestamp_seconds{maker="operator"}'] == first
    assert 'maybe_node_certificate_end_timestamp_seconds{maker="node"}' in found
    assert found["maybe_node_certificate_problems"] == 1


def test_the_end_of_a_certificate_is_the_first_of_its_chain_and_0_once_it_cannot_be_read(tmp_path: Path):
    authority = Authority()
    late, _ = authority.issue(tmp_path, "a.example", days=9)
    soon, _ = authority.issue(tmp_path, "b.example", days=3, name="soon")
    chain = tmp_path / "chain.pem"
    chain.write_text(late.read_text() + soon.read_text())
    assert ends_of(Certificates({"api": chain, "broker_ca": chain})) == {"api": days(3), "broker_ca": days(9)}
    chain.write_text("no certificate")
    assert ends_of(Certificates({"api": chain})) == {"api": 0}


def test_the_broker_is_asked_for_its_certificate_once_in_minutes():
    asked = [datetime.now(UTC) + timedelta(days=5)]

    async def pop() -> datetime | None:
        return asked.pop()

    certificates = Certificates({}, pop)
    assert [ends_of(certificates), ends_of(certificates)] == [{"broker": days(5)}] * 2
    assert ends_of(Certificates({})) == {}


def ends_of(certificates: Certificates) -> dict[str, Any]:
    """The end of each certificate by name."""
    found = values_of(asyncio.run(certificates.family()))
    return {name.split('"')[1]: value for name, value in found.items()}


def days(count: int) -> Any:
    return pytest.approx(time.time() + count * 86_400, abs=60)


async def filled(api: Api) -> str:
    """The metrics of a fleet that was used."""
    node = await api.node()
    await api.proxy(node)
    await api.call("GET", "/proxies/99", 404)
    answer = await api.http.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


async def test_a_parser_of_others_reads_every_metric_as_what_it_is(api: Api):
    text = await filled(api)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {family.type for family in families.values()} == {"counter", "gauge", "histogram"}
    assert all(family.documentation for family in families.values())
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert {name.removesuffix("_total") for name in names} == set(families)
    [counted] = [one for one in families["maybe_api_requests"].samples if one.labels["status"] == "404"]
    assert (counted.labels["route"], counted.value) == ("/proxies/{proxy_id}", 1)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian's prometheus) is not installed")
async def test_promtool_has_nothing_to_say_about_the_metrics(api: Api):
    text = await filled(api)
    done = await asyncio.to_thread(
        subprocess.run, ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


async def test_requests_are_counted_by_their_routes_and_not_by_their_paths(api: Api):
    for id_ in (1, 2, 3):
        await api.call("GET", f"/proxies/{id_}", 404)
    await api.call("GET", "/no/such/path", 404)
    found = await metrics(api)
    assert found['maybe_api_requests_total{method="GET",route="/proxies/{proxy_id}",status="404"}'] == 3
    assert found['maybe_api_requests_total{method="GET",route="none",status="404"}'] == 1
    assert found['maybe_api_request_duration_seconds_count{method="GET",route="/proxies/{proxy_id}"}'] == 3


async def test_metrics_are_told_while_the_database_is_away(api: Api, monkeypatch: pytest.MonkeyPatch):
    def away(_: Database) -> None:
        raise DatabaseAway("test")

    await api.call("GET", "/tokens/current", 200)
    monkeypatch.setattr(Database, "session", away)
    assert (await metrics(api))["maybe_database_up"] == 0


async def test_the_id_of_a_request_is_told_back_and_stands_in_its_events(api: Api):
    for given, told in (("my-id.1", "my-id.1"), ("no\x7fid", None), ("x" * 65, None), (None, None)):
        headers = {"X-Request-Id": given.encode()} if given else {"X-Request-Id": ""}
        answer = await api.http.post("/locations", json={"name": f"l{given}"[:20]}, headers=headers)
        found = answer.headers["x-request-id"]
        assert found == told if told else re.fullmatch("[0-9a-f]{32}", found)
        if answer.status_code == 201:
            last = (await api.call("GET", "/events?limit=1000", 200))["items"][-1]
            assert last["request_id"] == found


class Link:
    """Keeps what is published."""

    state = "up"

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []

    async def publish(self, message: Outgoing) -> str:
        self.sent.append(message)
        return "m"


async def test_a_list_that_is_news_carries_the_requests_that_made_it_so(api: Api, rows: Database, broker: Broker):
    node = await api.node()
    for number in range(7):
        await api.http.post("/proxies", json={"node_ids": [node]}, headers={"X-Request-Id": f"r{number}"})
    link = Link()
    outbox = Outbox(rows, OneLink(broker, link), "c")
    await outbox.check(NodeId(node))
    await outbox.check(NodeId(node))
    headers = [message.header for message in link.sent]
    assert [header.requests for header in headers if header] == [("r2", "r3", "r4", "r5", "r6"), ()]
    assert REQUEST not in str(headers)
