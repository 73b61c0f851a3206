"""/events and /health"""

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from master import events
from master.api.answers import shown
from master.api.pages import EventPage, Live, Ready
from master.api.reading import Asked, read_query
from master.api.seams import Wiring
from master.api.told import told
from master.questions import EventList


@get("/events", summary="List events", opt=told(query=EventList, answers={200: EventPage}))
async def list_events(request: Asked, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """What happened, oldest first. An event's id may be remembered and given as `after`: none is skipped."""
    asked = read_query(request, EventList)
    async with wiring.database.session() as session:
        items = await events.page(session, asked)
    return shown(EventPage(items=items, next=items[-1].id if len(items) == asked.limit else None))


@get("/health/live", summary="Whether the program runs", opt=told(answers={200: Live}))
async def live() -> Response[Any]:
    """Always 200; asks nobody else."""
    return shown(Live())


@get("/health/ready", summary="Whether requests are served", opt=told(answers={200: Ready}))
async def ready(wiring: NamedDependency[Wiring]) -> Response[Any]:
    """503 while the database is away; without the broker the master is degraded, but serves."""
    async with wiring.database.session() as session:
        await session.value("events.ping")
    broker = wiring.broker_state()
    return shown(Ready(status="ok" if broker == "up" else "degraded", broker=broker))
