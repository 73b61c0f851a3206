"""One application for all tests of a process: making its routes takes longer than a typical test."""

from functools import cache
from typing import Any, cast

from litestar import Litestar

from master.asgi import AUTHENTICATOR, DOWNLOADS, METERS, Dependencies, create_app
from master.db.database import Database
from tests.master.dependencies import api_parts

SHARED = (
    "database",
    "authenticator",
    "enroller",
    "notifications",
    "syncer",
    "event_stream",
    "deliveries",
    "meters",
    "fleet",
    "certificates",
    "downloads",
)


class Place:
    """Stands for a part of the master: it has the attributes of the one that is behind it now."""

    def __init__(self) -> None:
        self.behind: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)


@cache
def shared() -> tuple[Litestar, dict[str, Place]]:
    places = {name: Place() for name in SHARED}
    others = {name: place for name, place in places.items() if name != "database"}
    return create_app(api_parts(cast(Database, places["database"]), **others)), places


def app_over(parts: Dependencies) -> Litestar:
    """The shared application over these parts, until the next call; all else is as `api_parts` has it."""
    app, places = shared()
    for name, place in places.items():
        place.behind = getattr(parts, name)
    app.state[METERS], app.state[DOWNLOADS] = parts.meters, parts.downloads
    app.state[AUTHENTICATOR] = parts.authenticator
    return app
