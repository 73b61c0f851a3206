"""The parts of a master that the API needs, as far as a test has them."""

from typing import Any

from master.asgi import Dependencies
from master.db.database import Database
from master.domain.monitoring.fleet import Fleet
from master.instruments import Meters

UNUSED = ("enroller", "notifications", "syncer", "event_stream", "deliveries")


def api_parts(rows: Database, **given: Any) -> Dependencies:
    """Over this database; the broker is down, and parts that are not given cannot be used."""
    parts: dict[str, Any] = dict.fromkeys(UNUSED, object())
    parts |= {"meters": Meters(), "fleet": Fleet(rows), "broker_state": lambda: "down"}
    return Dependencies(database=rows, **parts | given)
