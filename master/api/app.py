"""The HTTP API as one ASGI application."""

import json
from collections.abc import Callable

from litestar import Litestar
from litestar.di import Provide

from master.api import docs, locations, nodes, proxies, system
from master.api.openapi import document
from master.api.problems import BODY_LIMIT, HANDLERS
from master.api.seams import Enroller, Syncer, Waiter, Wiring
from master.db import Database


def create_app(
    *, database: Database, enroller: Enroller, waiter: Waiter, syncer: Syncer, broker_state: Callable[[], str]
) -> Litestar:
    """The API over these; `broker_state` is "up" while the broker can be reached, anything else is told as it is."""
    wiring = Wiring(database=database, enroller=enroller, waiter=waiter, syncer=syncer, broker_state=broker_state)
    app = Litestar(
        route_handlers=[
            locations.router,
            nodes.router,
            proxies.router,
            system.list_events,
            system.live,
            system.ready,
            docs.api_page,
            docs.api_file,
            docs.api_json,
        ],
        dependencies={"wiring": Provide(lambda: wiring, sync_to_thread=False)},
        exception_handlers=HANDLERS,
        request_max_body_size=BODY_LIMIT,
        openapi_config=None,
        logging_config=None,
    )
    app.state[docs.DOCUMENT] = json.dumps(document(app.routes)).encode()
    return app
