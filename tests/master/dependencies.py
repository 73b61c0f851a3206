"""The parts of a master that the API needs, as far as a test has them."""

from pathlib import Path
from typing import Any

from master.asgi import Dependencies
from master.db.database import Database
from master.distribution.downloads.app import Downloads
from master.distribution.folder import BundleFolder
from master.distribution.install_script import InstallScript
from master.domain.monitoring.certificates import Certificates
from master.domain.monitoring.fleet import Fleet
from master.domain.monitoring.report import HealthReports
from master.domain.system.schemas import Configuration
from master.domain.tokens.authentication import TokenAuthenticator
from master.instruments import Meters
from shared.doctor.findings import Finding
from tests.master.one_link import no_links

NOWHERE = Path("/nonexistent/bundles")
UNUSED = ("enroller", "notifications", "syncer", "event_stream", "deliveries")


async def nothing() -> tuple[Finding, ...]:
    """Of a doctor that finds nothing."""
    return ()


def api_parts(rows: Database, **given: Any) -> Dependencies:
    """Over this database; the broker is down, and parts that are not given cannot be used."""
    parts: dict[str, Any] = dict.fromkeys(UNUSED, object())
    meters = given.get("meters") or Meters()
    parts |= {"meters": meters, "fleet": Fleet(rows), "broker_state": lambda: "down"}
    parts |= {
        "certificates": Certificates({}),
        "authenticator": TokenAuthenticator(rows, meters),
        "health_reports": HealthReports(nothing),
        "configuration": Configuration(),
        "broker_version": lambda: None,
        "broker_links": no_links(rows),
        "downloads": Downloads(BundleFolder(NOWHERE, ()), InstallScript(None, ())),
    }
    return Dependencies(database=rows, **parts | given)
