"""The examination of settings, PostgreSQL, RabbitMQ, nodes, bundles and the API's port, which changes nothing."""

import asyncio
import hashlib
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from master.broker import Broker
from master.broker_links.links import BrokerLink, configured_link, present
from master.db.database import Row, Session
from master.db.inspection import read_only_session
from master.db.migrations import steps
from master.doctor.api import api_state
from master.doctor.broker import (
    login_finding,
    permissions_finding,
    queue_findings,
    server_findings,
    tags_finding,
    version_finding,
)
from master.doctor.broker_cluster import address_counts, address_findings, cluster_findings, sameness_findings
from master.doctor.broker_inspection import Contents, Inspection, NotInspected, not_inspected
from master.doctor.broker_moves import move_findings
from master.doctor.bundles import bundle_findings
from master.doctor.database import NodeSeen, address_finding, api_finding, clock_finding, node_findings, schema_finding
from master.doctor.database import server_findings as database_findings
from master.doctor.encryption import api_certificate_findings, link_findings
from master.doctor.license import license_findings
from master.doctor.tokens import token_findings
from master.doctor.topology import Topology, topology, topology_findings
from master.doctor.upgrades import agent_findings, upgrade_findings
from master.domain.broker_links.service import known_links
from master.domain.broker_links.service import show as show_broker
from master.domain.license.runner import configured_key
from master.domain.license.service import read_current
from master.domain.tokens.service import admins
from master.errors import BadConfiguration, DatabaseError
from master.exposure import exposure_finding, own_addresses
from master.settings import Settings, read_settings
from shared.bus.logins import try_logins
from shared.doctor.examination import Check, examine, likely_meant
from shared.doctor.findings import Finding, ok, problem
from shared.messages.routes import MASTER_QUEUE, node_queue
from shared.proxies import NodeId
from shared.settings.errors import NOT_SET
from shared.settings.secret_files import file_variable
from shared.version import program_version

STAND_INS = {
    "DATABASE_HOST": "localhost",
    "DATABASE_USERNAME": "nobody",
    "DATABASE_PASSWORD": "none",
    "DATABASE_NAME": "none",
    "AMQP_URL": "amqp://localhost/",
    "RABBITMQ_MANAGEMENT_URL": "http://localhost/",
}
"""Values in place of missing variables, so that the other variables are read, too. They are not examined."""


async def findings(env: Mapping[str, str] = os.environ) -> list[Finding]:
    """Return all findings about a master with this environment."""
    settings, errors = readable_settings(env)
    return [*setting_findings(errors, env), *await examined(settings, {error.variable for error in errors})]


async def examined(settings: Settings, bad: Collection[str] = ()) -> list[Finding]:
    """Return the findings about everything that the settings lead to; those of `bad` variables are stand-ins."""
    has_database = not any(variable.startswith("DATABASE_") for variable in bad)
    link = await present_link(settings) if has_database else configured_link(settings)
    examination = MasterExamination(settings, link, amqp="AMQP_URL" not in bad)
    first: dict[str, Check] = {}
    if has_database:
        first["PostgreSQL"] = examination.examine_database
    if "AMQP_URL" not in bad:
        first["RabbitMQ"] = examination.examine_bus
        if "RABBITMQ_MANAGEMENT_URL" not in bad:
            first["management API"] = examination.examine_broker
    if "API_HOST" not in bad and "API_PORT" not in bad:
        first["API"] = examination.examine_api
    if not any(variable.startswith(("BUNDLE_", "RELEASE_", "DOWNLOAD_")) for variable in bad):
        first["bundles"] = examination.examine_bundles
    found = await examine(first)
    return [*found, *await examine({"nodes": examination.compare})]


async def present_link(settings: Settings) -> BrokerLink:
    """Return the link to the broker that counts: that of the settings, unless the broker was moved."""
    configured = configured_link(settings)
    try:
        async with read_only_session(settings.database) as session:
            _, links = await known_links(session, configured)
    except (BadConfiguration, DatabaseError):
        return configured  # the examination of the database finds out why it cannot be read
    return present(links)


def readable_settings(env: Mapping[str, str]) -> tuple[Settings, list[BadConfiguration]]:
    """Return the settings with stand-ins for unreadable variables, and the errors of those."""
    try:
        return read_settings(env), []
    except BadConfiguration as error:
        errors = error.errors()
    substitutes = {error.variable: STAND_INS.get(error.variable, "") for error in errors}
    files = {file_variable(error.variable): "" for error in errors}
    return read_settings({**env, **substitutes, **files}), errors


def setting_findings(errors: Sequence[BadConfiguration], env: Mapping[str, str]) -> list[Finding]:
    """Return a finding for each variable that cannot be read."""
    advice = "set it as docs/operations.md describes, then run the doctor again: checks that depend on it were skipped"
    hints = [likely_meant(error.variable, env) if error.reason == NOT_SET else "" for error in errors]
    return [problem("settings", f"{error}{hint}", advice) for error, hint in zip(errors, hints, strict=True)] or [
        ok("settings", "readable")
    ]


@dataclass
class MasterExamination:
    """The state that was read so far, which later checks compare. None is unknown."""

    settings: Settings
    link: BrokerLink
    amqp: bool
    nodes: list[NodeSeen] | None = None
    servers: Sequence[Mapping[str, Any]] = ()
    contents: Contents | None = None
    master_here: bool = False

    async def examine_database(self) -> list[Finding]:
        """Examine PostgreSQL and its clock, and remember the nodes."""
        place = f"{self.settings.database['host']}:{self.settings.database['port']}"
        try:
            async with read_only_session(self.settings.database) as session:
                return [ok("PostgreSQL", f"reachable at {place}"), *await self._database(session)]
        except BadConfiguration as error:
            return [problem("PostgreSQL", f"{place} answers, but: {error.reason}", f"correct {error.variable}")]
        except DatabaseError as error:
            advice = (
                "check that it runs, that DATABASE_HOST and DATABASE_PORT are right, and that no firewall is in between"
            )
            return [problem("PostgreSQL", f"{place} cannot be used: {error.reason}", advice)]

    async def _database(self, session: Session) -> list[Finding]:
        began = time.time()
        clock = await session.value("doctor.clock")
        ahead = clock.timestamp() - (began + time.time()) / 2
        server = await session.row("doctor.server") or {}
        history = await session.rows("doctor.history") if server["has_history"] else None
        applied = {row["version"]: row["sha256"] for row in history} if history is not None else None
        known = [(version, name, hashlib.sha256(sql.encode()).hexdigest()) for version, name, sql in steps()]
        schema = schema_finding(applied, known, may_create=server["may_create"])
        found = [*database_findings(server), schema, clock_finding(ahead)]
        if schema.level == "ok":
            self.nodes = [node_seen(row) for row in await session.rows("doctor.nodes")]
            current = await read_current(session)
            _, unusable = await asyncio.to_thread(configured_key, self.settings.configured_license)
            found += upgrade_findings(await session.row("doctor.upgrade"))
            found += license_findings(current.license, current.now, unusable)
            if self.amqp:
                found += move_findings(await show_broker(session, configured_link(self.settings)))
            found += token_findings(await admins(session), is_set=self.settings.api_token is not None)
        return found

    async def examine_bus(self) -> list[Finding]:
        """Examine the master's login at each address of the broker, and the encryption."""
        logins = await try_logins(self.link.broker, queue=MASTER_QUEUE)
        return [*map(login_finding, logins), *link_findings(self.link, logins)]

    async def examine_broker(self) -> list[Finding]:
        """Examine the broker by its management API, and remember the contents of the virtual host."""
        found, clusters = list[Finding](), dict[str, str]()
        for each in self.link.management.each():
            inspection = Inspection(each)
            try:
                found += await self._broker(inspection, clusters, each.urls[0])
            except NotInspected as error:
                found.append(not_inspected(error, each.urls[0]))
            finally:
                await inspection.close()
        return [*found, *sameness_findings(clusters)]

    async def _broker(self, inspection: Inspection, clusters: dict[str, str], url: str) -> list[Finding]:
        """Examine the broker at one address: the first one that answers reports for the whole cluster."""
        access = await inspection.access()
        found = [tags_finding(access.user, access.tags)]
        if found[0].level != "ok":
            return found
        clusters[url] = access.cluster
        found.append(version_finding(access.version))
        if self.contents is not None:
            return found
        self.servers = access.servers
        self.contents = await inspection.contents()
        if self.contents is None:
            advice = f'rabbitmqctl add_vhost "{access.vhost}", and give {access.user!r} every permission in it'
            return [*found, problem("vhost", f"there is no {access.vhost!r} on this broker", advice)]
        return [*found, permissions_finding(access.user, access.vhost, self.contents.own)]

    async def examine_api(self) -> list[Finding]:
        """Examine the API's port: a master answers, or it is free, or another program has it."""
        host, port = self.settings.api_host, self.settings.api_port
        state, reason = await api_state(host, port, tls=self.settings.api_tls_cert is not None)
        self.master_here = state == "master"
        addresses = await asyncio.to_thread(own_addresses)
        found = await asyncio.to_thread(api_certificate_findings, self.settings.api_tls_cert)
        return [api_finding(state, f"{host}:{port}", reason), exposure_finding(host, addresses), *found]

    async def examine_bundles(self) -> list[Finding]:
        """Examine the bundles that nodes are installed from."""
        return await asyncio.to_thread(bundle_findings, self.settings)

    async def compare(self) -> list[Finding]:
        """Compare the database with the broker, and examine the nodes."""
        nodes, contents = self.nodes or [], self.contents
        logins = list(contents.topology.permissions) if contents else []
        count = max(len(nodes), sum(name.startswith("node-") for name in logins))
        found = [finding for server in self.servers for finding in server_findings(server, count)]
        found += cluster_findings(self.servers, contents.queues if contents else ())
        found += address_findings(len(self.servers), address_counts(self.settings))
        if contents is not None:
            found += queue_findings(contents.messages, contents.consumers, nodes=count)
        if contents is not None and self.nodes is not None:
            found += topology_findings(await self._desired(nodes), contents.topology)
        if self.nodes is not None:
            found += self._nodes(nodes, contents.consumers if contents else {})
        return [*found, address_finding(self.link.node_broker.hosts[0], nodes)] if self.amqp else found

    def _nodes(self, nodes: Sequence[NodeSeen], consumers: Mapping[str, int]) -> list[Finding]:
        connected = {node.id: consumers.get(node_queue(NodeId(node.id)), 0) for node in nodes}
        master_runs = self.master_here or consumers.get(MASTER_QUEUE, 0) > 0
        found = node_findings(nodes, connected, master_runs=master_runs)
        return [*found, *agent_findings({str(node): node.agent for node in nodes}, program_version())]

    async def _desired(self, nodes: Sequence[NodeSeen]) -> Topology:
        """Return the topology that a master would create for these nodes."""
        broker = Broker(self.link.management)
        try:
            hashes = {NodeId(node.id): node.password_hash for node in nodes}
            return topology(broker.definitions(hashes, everything=True))
        finally:
            await broker.close()


def node_seen(row: Row) -> NodeSeen:
    """Build a node from a row of doctor.nodes."""
    return NodeSeen(
        id=row["id"],
        name=row["name"],
        ip=row["ip"],
        link=row["link"],
        silent_s=row["silent_s"],
        count=row["count"],
        failed=row["failed"],
        held=(row["held_stops"] or 0, row["held_of"] or 0) if row["held_rev"] is not None else None,
        agent=row["agent"],
        password_hash=row["broker_password_hash"],
    )
