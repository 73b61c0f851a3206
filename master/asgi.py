"""The HTTP API as one ASGI application."""

import json
from typing import Any

from litestar import Litestar
from litestar.di import Provide
from litestar.types import LifeSpanScope, Message, Scope

from master.api.dependencies import Wiring
from master.api.dry_run import on_dry_run, wired
from master.api.middleware import LINK_PATH, with_request_log
from master.api.openapi import pages
from master.api.openapi.document import document
from master.api.problems import BODY_LIMIT, HANDLERS
from master.api.requests.admission import checked, in_origin_form
from master.api.requests.reading import ApiRequest
from master.api.requests.route_check import check_route
from master.db.dry_run import DryRunDone
from master.domain.events import routes as events
from master.domain.links import routes as links
from master.domain.locations import routes as locations
from master.domain.locations import routes as moves
from master.domain.lookup import routes as lookups
from master.domain.monitoring import health_routes, metrics_routes
from master.domain.nodes import routes as nodes
from master.domain.proxies import export_routes
from master.domain.proxies import routes as proxies
from master.domain.rotation import routes as rotation
from master.domain.stacks import routes as stacks
from master.domain.usage import routes as usage
from master.domain.webhooks import routes as webhooks

METERS, OWN_HOSTS = "meters", "own_hosts"
ROUTES = (
    locations.router,
    nodes.router,
    proxies.router,
    *rotation.handlers,
    *moves.handlers,
    *stacks.handlers,
    events.list_events,
    usage.sum_usage,
    lookups.look_up,
    export_routes.export_proxies,
    links.router,
    links.use_link,
    webhooks.router,
    metrics_routes.show_metrics,
    health_routes.live,
    health_routes.ready,
    pages.api_page,
    pages.api_file,
    pages.api_json,
)


class Api(Litestar):
    """Answers HEAD wherever it answers GET, without the body (RFC 9110 §9.3.2), and counts what it answers.

    A link may rotate what it matches, so there HEAD is refused: whoever only looks must not use it up.
    """

    async def __call__(self, scope: Scope | LifeSpanScope, receive: Any, send: Any) -> None:
        """One connection of ASGI."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        query: Any = in_origin_form(scope)
        if query["method"] != "HEAD" or query["path"].startswith(LINK_PATH):
            await self._enter(query, receive, send)
        else:
            await self._bodiless({**query, "method": "GET"}, receive, send)

    async def _enter(self, scope: Any, receive: Any, send: Any) -> None:
        await with_request_log(
            checked(super().__call__, self.state[OWN_HOSTS]), self.state[METERS], scope, receive, send
        )

    async def _bodiless(self, scope: Any, receive: Any, send: Any) -> None:
        ended = False

        async def bodiless(message: Message) -> None:
            nonlocal ended
            if message["type"] != "http.response.body":
                await send(message)
            elif not ended:
                ended = True  # a stream goes on, but nobody hears it
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._enter(scope, receive, bodiless)


def create_app(wiring: Wiring) -> Litestar:
    """The API over all of this."""

    def wiring_of(request: ApiRequest) -> Wiring:
        return wired(request, wiring)

    app = Api(
        route_handlers=ROUTES,
        dependencies={"wiring": Provide(wiring_of, sync_to_thread=False)},
        before_request=check_route,
        exception_handlers={**HANDLERS, DryRunDone: on_dry_run},
        request_max_body_size=BODY_LIMIT,
        openapi_config=None,
        logging_config=None,
    )
    app.state[METERS], app.state[OWN_HOSTS] = wiring.meters, wiring.own_hosts
    app.state[pages.DOCUMENT] = json.dumps(document(app.routes)).encode()
    return app
