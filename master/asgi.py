"""The HTTP API as one ASGI application."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from litestar import Litestar
from litestar.di import Provide
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import ASGIApp, LifeSpanScope, Message, Scope

from master.api.authentication import Authenticator, authenticated
from master.api.dependencies import Injected, idempotency_key_of, if_match_of, parameters_of
from master.api.dry_run import database_of, on_dry_run
from master.api.middleware import LINK_PATH, with_request_log
from master.api.openapi import pages
from master.api.problems import BODY_LIMIT, HANDLERS
from master.api.requests.admission import checked, in_origin_form
from master.api.requests.bodies import StrictBodies
from master.api.requests.reading import ApiRequest
from master.api.requests.route_check import check_route
from master.api.responses import ResourceResponse
from master.api.writes.waiting import Preference, preference_of
from master.broker_links.connections import BrokerLinks
from master.db.database import Database
from master.db.dry_run import DryRunDone
from master.db.notifications import Notifications
from master.distribution.downloads.app import DOWNLOAD_ROUTE, Downloads, is_download
from master.domain.broker_links import routes as broker_moves
from master.domain.checks import routes as checks
from master.domain.events import routes as events
from master.domain.events.stream import EventStream
from master.domain.labels import routes as labels
from master.domain.license import routes as license_routes
from master.domain.license.schemas import UnusableKey
from master.domain.links import routes as links
from master.domain.locations import routes as locations
from master.domain.lookup import routes as lookups
from master.domain.monitoring import health_routes, metrics_routes
from master.domain.monitoring.certificates import Certificates
from master.domain.monitoring.fleet import Fleet
from master.domain.monitoring.report import HealthReports
from master.domain.nodes import routes as nodes
from master.domain.nodes.counts import routes as node_counts
from master.domain.nodes.installation import routes as installation
from master.domain.nodes.invitations import routes as invitations
from master.domain.nodes.protocols import Enroller, Syncer
from master.domain.proxies import routes as proxies
from master.domain.proxies.claims import routes as claim_routes
from master.domain.proxies.counts import routes as proxy_counts
from master.domain.proxies.export import routes as export_routes
from master.domain.rotation import routes as rotation
from master.domain.search import routes as search
from master.domain.stacks import routes as stacks
from master.domain.system import routes as system
from master.domain.system.schemas import Configuration
from master.domain.tokens import routes as tokens
from master.domain.upgrades import routes as upgrades
from master.domain.usage import routes as usage
from master.domain.webhooks import routes as webhooks
from master.domain.webhooks.delivery import DeliveryRunner
from master.instruments import Meters
from master.schemas.access import present_access
from master.schemas.base import Query
from master.web import page

METERS, OWN_HOSTS, DOWNLOADS, AUTHENTICATOR = "meters", "own_hosts", "downloads", "authenticator"
ROUTES = (
    locations.router,
    nodes.router,
    invitations.router,
    proxies.router,
    *stacks.handlers,
    *rotation.handlers,
    upgrades.router,
    *checks.handlers,
    events.list_events,
    usage.sum_usage,
    lookups.look_up,
    export_routes.export_proxies,
    *claim_routes.handlers,
    proxy_counts.count_proxies,
    node_counts.count_nodes,
    installation.show_install_command,
    links.router,
    links.use_link,
    webhooks.router,
    tokens.router,
    search.search,
    labels.list_labels,
    system.show_system,
    broker_moves.router,
    *license_routes.handlers,
    metrics_routes.show_metrics,
    health_routes.live,
    health_routes.ready,
    health_routes.show_report,
    pages.api_json,
    page.page,
    page.api_page,
    page.ui_file,
)


class Api(Litestar):
    """Answers HEAD wherever it answers GET, without the body (RFC 9110 §9.3.2), and counts its answers.

    The paths of downloads are served by an application of their own, which knows HEAD.

    HEAD of a link is refused, because using a link may rotate proxies.
    """

    async def __call__(self, scope: Scope | LifeSpanScope, receive: Any, send: Any) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        request: Any = in_origin_form(scope)
        if is_download(request["path"]):
            await self._enter(self.state[DOWNLOADS], {**request, "path_template": DOWNLOAD_ROUTE}, receive, send)
        elif request["method"] != "HEAD" or request["path"].startswith(LINK_PATH):
            await self._enter(self._authenticated(), request, receive, send)
        else:
            await self._bodiless({**request, "method": "GET"}, receive, send)

    async def _enter(self, app: ASGIApp, scope: Any, receive: Any, send: Any) -> None:
        await with_request_log(checked(app, self.state[OWN_HOSTS]), self.state[METERS], scope, receive, send)

    async def _bodiless(self, scope: Any, receive: Any, send: Any) -> None:
        ended = False

        async def bodiless(message: Message) -> None:
            nonlocal ended
            if message["type"] != "http.response.body":
                await send(message)
            elif not ended:
                ended = True  # a stream continues, but its body is dropped
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._enter(self._authenticated(), scope, receive, bodiless)

    def _authenticated(self) -> ASGIApp:
        return authenticated(super().__call__, self.state[AUTHENTICATOR])


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependencies:
    """The parts of the master that handlers name in their signatures.

    `broker_state` returns "up" while the broker can be reached, and otherwise the reason; `broker_version` returns None
    before the first connection. `check_target` is the URL
    that checks request through proxies; None: the echo service of each proxy's own node.
    """

    database: Database
    authenticator: Authenticator
    enroller: Enroller
    notifications: Notifications
    syncer: Syncer
    event_stream: EventStream
    deliveries: DeliveryRunner
    meters: Meters
    fleet: Fleet
    certificates: Certificates
    health_reports: HealthReports
    configuration: Configuration
    broker_links: BrokerLinks
    broker_state: Callable[[], str]
    broker_version: Callable[[], str | None]
    downloads: Downloads
    license_problem: Callable[[], UnusableKey | None] = lambda: None
    check_target: str | None = None
    own_hosts: frozenset[str] = frozenset()
    """Host names of the API, besides the names that nobody outside can control."""
    public_url: str | None = None
    """Where customers reach the API's links, without a slash at the end; None: under the Host of the request."""


def create_app(parts: Dependencies) -> Litestar:
    """Make the API over these parts."""
    app = Api(
        route_handlers=ROUTES,
        dependencies=dependencies(parts),
        plugins=[StrictBodies()],
        response_class=ResourceResponse,
        before_request=check_route,
        exception_handlers={**HANDLERS, DryRunDone: on_dry_run},
        request_max_body_size=BODY_LIMIT,
        openapi_config=None,
        logging_config=None,
    )
    resolve_in_turn(app.routes)
    app.state[METERS], app.state[OWN_HOSTS], app.state[DOWNLOADS] = parts.meters, parts.own_hosts, parts.downloads
    app.state[AUTHENTICATOR] = parts.authenticator
    return app


def dependencies(parts: Dependencies) -> Mapping[str, Provide]:
    """Provide each name that a handler may have in its signature."""

    def database(parameters: Injected[Query | None]) -> Database:
        filter_ = present_access().filter
        return database_of(parameters, parts.database if filter_ is None else parts.database.narrowed(filter_))

    def preference(request: ApiRequest) -> Preference:
        return preference_of(request, parts.database, parts.notifications)

    def public_url(request: ApiRequest) -> str:
        return parts.public_url or str(request.base_url)

    of_request: Mapping[str, Callable[..., Any]] = {
        "access": present_access,
        "database": database,
        "preference": preference,
        "public_url": public_url,
        "parameters": parameters_of,
        "if_match": if_match_of,
        "idempotency_key": idempotency_key_of,
    }
    names = (
        "authenticator",
        *("enroller", "syncer", "event_stream", "deliveries", "meters", "fleet", "health_reports", "configuration"),
        *("certificates", "broker_links", "broker_state", "broker_version", "check_target", "downloads"),
        "license_problem",
    )
    of_master = {name: constant(getattr(parts, name)) for name in names}
    return {name: Provide(provider, sync_to_thread=False) for name, provider in {**of_request, **of_master}.items()}


def resolve_in_turn(routes: Iterable[BaseRoute]) -> None:
    """Resolve the dependencies of a handler one after the other, since none of them waits.

    Litestar resolves independent ones in a task group, which costs 130 us for two of them and 280 us for four.
    """
    for route in routes:
        if isinstance(route, HTTPRoute):
            for _, kwargs in route.route_handler_map.values():
                kwargs.dependency_batches = [{one} for batch in kwargs.dependency_batches for one in batch]


def constant(part: Any) -> Callable[[], Any]:
    """Provide the same object for every request."""

    def provide() -> Any:
        return part

    return provide
