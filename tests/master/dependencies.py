"""What the API needs of the rest of a master, as far as a test has it."""

from typing import Any

from master.api.dependencies import Wiring
from master.db.database import Database
from master.domain.monitoring.fleet import Fleet
from master.instruments import Meters

UNUSED = ("enroller", "waiter", "syncer", "feed", "deliveries")


def wiring(rows: Database, **given: Any) -> Wiring:
    """Over this database; the broker is away, and what is not given cannot be used."""
    parts: dict[str, Any] = dict.fromkeys(UNUSED, object())
    parts |= {"meters": Meters(), "fleet": Fleet(rows), "broker_state": lambda: "down"}
    return Wiring(database=rows, **parts | given)
