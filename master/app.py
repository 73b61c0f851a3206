"""The composition root: builds the master and runs it as one group of tasks.

Longer than most modules because every part of the program is built here, once.
"""

import asyncio
import socket
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import asyncpg
import structlog

from master.api.http_protocol import HttpProtocol
from master.api.servers import api_config, serve_links
from master.asgi import Dependencies, create_app
from master.broker_links.connections import BrokerLinks, LinkConnection
from master.broker_links.links import configured_link
from master.certificate import certificate_of
from master.db.background import endurance
from master.db.database import CLOSE_TIMEOUT_S, CONNECT_TIMEOUT_S, Database
from master.db.driver_errors import translated
from master.db.migrations import migrate
from master.db.notifications import Notifications
from master.db.peer_watchdog import PeerWatchdog
from master.distribution.downloads.listener import downloads_of, serve_downloads
from master.doctor.examination import examined
from master.domain.events.stream import EventStream
from master.domain.license.runner import LicenseRunner
from master.domain.monitoring.certificates import AUTHORITY, Certificates
from master.domain.monitoring.fleet import Fleet
from master.domain.monitoring.report import HealthReports
from master.domain.nodes.drain_runner import DrainRunner
from master.domain.nodes.enrolment.service import Enrolment
from master.domain.nodes.invitations.announcements import AnnouncementReceiver
from master.domain.rotation.runner import RotationRunner
from master.domain.system.presence import Presence
from master.domain.system.schemas import Configuration
from master.domain.tokens.authentication import TokenAuthenticator
from master.domain.tokens.service import prepare_tokens
from master.domain.upgrades.releases import OfferedReleases
from master.domain.upgrades.runner import UpgradeRunner
from master.domain.webhooks.delivery import DeliveryRunner
from master.errors import BadConfiguration, DatabaseAway
from master.exposure import ADVICE, exposed, own_addresses
from master.instruments import Meters
from master.settings import Settings, shown
from master.sync.broker_logins import Logins
from master.sync.broker_moves import BrokerMoves
from master.sync.housekeeping import Housekeeping
from master.sync.inbox import Inbox
from master.sync.outbox import Outbox
from master.sync.rate_limits import PREFETCH, RateLimits
from master.sync.reports import Reports
from master.sync.upgrade_requests import UpgradeRequests
from shared.bus.client import Bus
from shared.bus.envelopes import Incoming
from shared.bus.intake import Intake
from shared.bus.logins import try_logins
from shared.http_server import bound_socket, serve
from shared.messages.routes import MASTER_QUEUE
from shared.tasks import insist, run_until

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Sockets:
    """The sockets that a master listens on. Without `downloads` and `links`, the API's socket serves these alone."""

    api: socket.socket
    downloads: socket.socket | None = None
    links: socket.socket | None = None


PROBE_S = 3.0
"""The limit of a login that only looks at the broker's certificate: shorter than the patience of Prometheus."""
LANES = 8
"""Messages of one node are handled in order, messages of different nodes side by side."""
HANDLE_S = 90.0
"""The limit of handling one message: above the sum of the limits on a connection, a command and a publish."""


def opened_socket(variable: str, host: str, port: int) -> socket.socket:
    """Open a listening socket. Raises BadConfiguration when the port of this variable is not available."""
    try:
        return bound_socket(host, port)
    except OSError as error:
        raise BadConfiguration(variable, f"{host}:{port} cannot be listened on: {error.strerror}") from error


@contextmanager
def opened_sockets(settings: Settings) -> Generator[Sockets]:
    """Open the sockets of the API and of downloads. Raises BadConfiguration."""
    with ExitStack() as opened:

        def open_if_set(variable: str, host: str, port: int | None) -> socket.socket | None:
            return None if port is None else opened.enter_context(opened_socket(variable, host, port))

        yield Sockets(
            opened.enter_context(opened_socket("API_PORT", settings.api_host, settings.api_port)),
            open_if_set("DOWNLOAD_PORT", settings.download_host, settings.download_port),
            open_if_set("LINKS_PORT", settings.links_host, settings.links_port),
        )


async def prepared_database(settings: Settings) -> str:
    """Wait for PostgreSQL, bring the schema up to date and return the cluster's id.

    Raises BadConfiguration, and DatabaseError when it lasts for minutes, since a restore may be under way.
    """
    return await insist(partial(prepare, settings.database), loop="start", endurance=endurance())


async def prepare(database: Mapping[str, Any]) -> str:
    """Bring the schema up to date and return the cluster's id. Raises DatabaseError, BadConfiguration."""
    async with translated():
        try:
            connection = await asyncpg.connect(**database, timeout=CONNECT_TIMEOUT_S)
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
            raise BadConfiguration("DATABASE_USERNAME, DATABASE_PASSWORD or DATABASE_NAME", str(error)) from error
        try:
            applied = await migrate(connection)
            cluster = await connection.fetchval("SELECT id::text FROM cluster")
        finally:
            await connection.close(timeout=CLOSE_TIMEOUT_S)
    if applied:
        log.info("database.migrated", steps=applied)
    if cluster is None:
        raise DatabaseAway("its tables are empty: a restore seems to be under way")
    return str(cluster)


class Master:
    """A running master."""

    def __init__(self, settings: Settings, cluster: str, sockets: Sockets) -> None:
        """Build all parts, each of which is one or a few lines, in the order in which they need one another.

        The database is up to date; the broker may be away. Raises BadConfiguration.
        """
        self._sockets = sockets
        self._certificate = certificate_of(settings.api_tls_cert, settings.api_tls_key)
        self._database, self._reserve = Database(settings.database), Database(settings.database, size=1)
        self._links = BrokerLinks(
            self._database, configured_link(settings), self._bus_of, queue_type=settings.queue_type
        )
        self._logins = Logins(self._database, self._links.brokers)
        self._settings = settings
        self._enrolment = Enrolment(
            self._database,
            self._links.brokers,
            cluster=cluster,
            link=lambda: self._links.target,
            enrol_ports=settings.enrol_ports,
        )
        self._announcements = AnnouncementReceiver(self._database, self._enrolment)
        self._downloads = downloads_of(settings, self._announcements)
        self._outbox = Outbox(self._database, self._links, cluster)
        self._meters = Meters()
        self._authenticator = TokenAuthenticator(self._database, self._meters)
        self._reports = Reports(self._database, self._outbox)
        self._housekeeping = Housekeeping(
            self._database, self._reports, settings.events_keep_days, settings.history_keep_days
        )
        self._stream = EventStream(self._database)
        self._deliveries = DeliveryRunner(self._database, allow_private=settings.webhook_allow_private)
        self._notifications = Notifications(
            self._database, self._outbox.wake, self._happened, self._stream.touches.heard
        )
        self._rate_limits = RateLimits(self._database, self._links.brokers)
        self._rotations = RotationRunner(self._database, self._notifications, settings.check_target)
        self._watchdog = PeerWatchdog(self._database, self._reserve)
        self._presence = Presence(self._database, lambda: self._links.up_revs)
        self._links.changed = self._presence.wake
        self._license = LicenseRunner(self._database, settings.configured_license)
        self._drains = DrainRunner(self._database, self._notifications, self._enrolment.remove)
        requests = UpgradeRequests(self._database, self._links, cluster)
        releases = OfferedReleases(self._downloads.folder)
        self._upgrades = UpgradeRunner(self._database, self._notifications, releases, requests)
        self._inbox = Inbox(self._database, self._outbox, self._reports, cluster, self._meters)
        self._moves = BrokerMoves(self._database, self._links, cluster)

    def _bus_of(self, connection: LinkConnection) -> Bus:
        return Bus(
            connection.links[0].broker,
            program="master",
            intake=self._intake(connection),
            prepare=partial(self._logins.prepare_broker, connection),
            on_up=self._came_up,
        )

    def _intake(self, connection: LinkConnection) -> Intake:
        return Intake(
            MASTER_QUEUE,
            partial(self._inbox.handle, over=connection),
            lanes=LANES,
            lane=lane_of,
            prefetch=PREFETCH,
            handle_s=HANDLE_S,
            admit=self._admit,
        )

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                own = (
                    self._rate_limits.run,
                    self._housekeeping.run,
                    self._keep_logins,
                    self._rotations.run,
                    self._drains.run,
                    self._announcements.run,
                    self._upgrades.run,
                    self._presence.run,
                    self._license.run,
                    self._authenticator.run,
                    self._moves.run,
                )
                for program in (
                    self._links.run,
                    self._notifications.run,
                    self._stream.run,
                    self._deliveries.run,
                    self._watchdog.run,
                    self._outbox.run,
                    self._outbox.sweep,
                    self._serve_downloads,
                    *own,
                ):
                    group.create_task(program())
                await self._serve()
        finally:
            await self._database.close()
            await self._reserve.close()
            await self._enrolment.close()
            await self._deliveries.close()

    def _dependencies(self) -> Dependencies:
        """Return what the routes need of the master's parts."""
        return Dependencies(
            database=self._database,
            authenticator=self._authenticator,
            enroller=self._enrolment,
            notifications=self._notifications,
            syncer=self._outbox,
            event_stream=self._stream,
            deliveries=self._deliveries,
            meters=self._meters,
            fleet=Fleet(self._database),
            certificates=certificates_of(self._settings, self._links),
            health_reports=HealthReports(partial(examined, self._settings)),
            configuration=Configuration(
                settings=shown(self._settings),
                events_days=self._settings.events_keep_days,
                history_days=self._settings.history_keep_days,
            ),
            broker_links=self._links,
            broker_state=lambda: self._links.state,
            broker_version=lambda: self._links.broker_version,
            license_problem=lambda: self._license.problem,
            check_target=self._settings.check_target,
            own_hosts=self._settings.own_hosts,
            public_url=self._settings.public_url,
            downloads=self._downloads,
        )

    async def _serve(self) -> None:
        await insist(self._prepare_tokens, loop="start", endurance=endurance())
        app = create_app(self._dependencies())
        host, port = self._sockets.api.getsockname()[:2]
        log.info("api.listening", host=host, port=port, tls=self._certificate is not None)
        if public := exposed(host, own_addresses()):
            log.warning("api.public", addresses=public, advice=ADVICE)
        async with asyncio.TaskGroup() as group:
            if self._certificate is not None:
                group.create_task(self._certificate.run())
            if self._sockets.links is not None:
                group.create_task(serve_links(app, self._sockets.links, self._certificate))
            await serve(api_config(app, HttpProtocol, self._certificate), self._sockets.api, self._stream.close)

    async def _prepare_tokens(self) -> None:
        """Make the token of the settings count before the API listens. Raises DatabaseError, BadConfiguration."""
        async with self._database.transaction() as session:
            for event, facts in await prepare_tokens(session, self._settings.api_token):
                log.warning(event, **facts)
        await self._authenticator.look()

    async def _serve_downloads(self) -> None:
        if self._sockets.downloads is not None:
            await serve_downloads(self._downloads, self._sockets.downloads)

    async def _keep_logins(self) -> None:
        await self._logins.keep(lambda: self._links.is_up)

    def _admit(self, message: Incoming) -> bool:
        is_admitted = self._rate_limits.admit(message)
        if not is_admitted:
            self._meters.messages["any", "dropped"] += 1
        return is_admitted

    def _happened(self) -> None:
        self._stream.wake()
        self._deliveries.wake()

    async def _came_up(self) -> None:
        self._outbox.wake()
        self._links.wake()


def certificates_of(settings: Settings, links: BrokerLinks) -> Certificates:
    """Return the certificates that this master uses."""
    given = {"api": settings.api_tls_cert, AUTHORITY: settings.amqp_ca.path if settings.amqp_ca else None}

    async def broker_end() -> datetime | None:
        logins = await try_logins(links.target.broker, queue=MASTER_QUEUE, timeout=PROBE_S)
        return min((end for each in logins if (end := each.certificate_ends_at) is not None), default=None)

    return Certificates({name: file for name, file in given.items() if file is not None}, broker_end)


def lane_of(message: Incoming) -> int:
    """Return the lane of a message: the node's number in the routing key "node-<id>.<type>"."""
    digits = message.key.partition(".")[0].removeprefix("node-")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else 0


async def run_master(settings: Settings, stop: asyncio.Event) -> None:
    """Run until `stop`. Raises BadConfiguration, alone or in a group."""
    with opened_sockets(settings) as sockets:

        async def program() -> None:
            cluster = await prepared_database(settings)
            await Master(settings, cluster, sockets).run()

        await run_until(stop, program)
    log.info("master.stopped")
