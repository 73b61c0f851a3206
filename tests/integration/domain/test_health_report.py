"""The doctor's report over the API."""

import asyncio
import json
from functools import partial

import httpx
import pytest

from master.asgi import create_app
from master.db.database import Database
from master.doctor.examination import examined
from master.domain.monitoring.report import HealthReports
from master.domain.system.schemas import Configuration
from master.settings import read_settings, shown
from shared.doctor.findings import Finding, ok, problem, warning
from tests.master.dependencies import api_parts
from tests.services.postgres import Database as Address
from tests.services.rabbitmq import Vhost


class Doctor:
    """Finds these things, and counts how often it was asked."""

    def __init__(self, *findings: Finding) -> None:
        self.findings, self.times = findings, 0

    async def examine(self) -> tuple[Finding, ...]:
        self.times += 1
        await asyncio.sleep(0)
        return self.findings


async def test_findings_are_shown_the_worst_first_and_made_once_for_all_who_ask():
    doctor = Doctor(ok("a", "well\x1b[31m\n"), warning("b", "soon", "act"), problem("c", "broken", "mend it"))
    reports = HealthReports(doctor.examine)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(reports.latest()) for _ in range(5)]
    assert (doctor.times, {task.result().level for task in tasks}) == (1, {"problem"})
    items = tasks[0].result().items
    assert [(one.check, one.advice) for one in items] == [("c", "mend it"), ("b", "act"), ("a", None)]
    assert items[2].text == "well [31m"


async def test_a_report_that_failed_is_made_again_for_the_next_who_asks():
    doctor = Doctor()

    async def examine() -> tuple[Finding, ...]:
        if doctor.times == 0:
            doctor.times = 1
            raise OSError
        return await doctor.examine()

    reports = HealthReports(examine)
    with pytest.raises(OSError, match=r"^$"):
        await reports.latest()
    assert (await reports.latest()).level == "ok"


@pytest.mark.parametrize("password", [None, "hunter2"])
async def test_neither_report_nor_system_shows_a_secret(
    database: Address, rows: Database, vhost: Vhost, password: str | None
):
    env = {
        **database.environment,
        **vhost.environment,
        "API_HOST": "127.0.0.1",
        "API_PORT": "1",
        "LICENSE_KEY": "lic-5",
    }
    env |= {"CHECK_TARGET": "http://u:target-pw@example.org/x?key=target-key", "DATABASE_HOST": "127.0.0.1"}
    env |= {"NODE_AMQP_URL": f"amqp://n:node-pw@{vhost.host}:{vhost.port}/"}
    env |= {"DATABASE_PASSWORD": password, "RABBITMQ_MANAGEMENT_URL": "http://m:man-pw@127.0.0.1:1"} if password else {}
    settings = read_settings(env)
    parts = api_parts(
        rows,
        health_reports=HealthReports(partial(examined, settings)),
        configuration=Configuration(settings=shown(settings)),
    )
    transport = httpx.ASGITransport(app=create_app(parts), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://master", timeout=60) as http:
        report, system = (await http.get("/health/report")).json(), (await http.get("/system")).json()
    secrets = [database.password, vhost.password, "hunter2", "lic-5", "target-pw", "target-key", "node-pw", "man-pw"]
    assert [secret for secret in secrets if secret in json.dumps([report, system])] == []
    assert {one["check"] for one in report["items"]} >= {"PostgreSQL", "RabbitMQ", "management API", "API"}
    names = {one["name"]: one["value"] for one in system["settings"]}
    assert names["CHECK_TARGET"] == "http://example.org/x"
    assert names["ENROL_PORTS"] == "3006"
    assert {"DATABASE_PASSWORD", "LICENSE_KEY"} & set(names) == set()
