"""Handle messages of nodes: answer need-sync with records and store reports, from proven senders only."""

import time
from dataclasses import dataclass
from typing import Literal

import structlog

from master.actors import acting, node_actor
from master.broker_links.connections import LinkConnection
from master.db.database import Database, Row
from master.domain.events.log import NewEvent, record_events
from master.errors import DatabaseError
from master.instruments import MessageOutcome, Meters
from master.sync.outbox import Outbox
from master.sync.reports import Implausible, Reports
from shared.bus.envelopes import Incoming, Outgoing
from shared.messages.bodies import (
    MESSAGE_TYPES,
    WIRE_VERSION,
    CheckSync,
    Header,
    NeedSync,
    Report,
    Sync,
    UpgradeRequest,
)
from shared.messages.broker_config import ConfigBody, ConfigOkBody
from shared.messages.reading import READ_LIMIT, Unreadable, decode, decode_header
from shared.messages.routes import DEAD_QUEUE, NODE_EXCHANGE, node_login, report_key
from shared.messages.writing import encode, encode_records
from shared.proxies import Destinations, Exit, FurtherPort, Limits, NodeId, ProxyRecord
from shared.validation_errors import printable

log = structlog.get_logger()

REFUSAL_EVENT_EVERY_S = 60.0
KEY_LIMIT = 200


@dataclass
class Forged(Exception):
    """A message whose claimed sender differs from the one that the broker has validated."""

    reason: str


def sender(message: Incoming, header: Header, cluster: str) -> NodeId:
    """Return the sender: validated user, routing key, cluster and node must all agree. Raises Forged."""
    node_id = NodeId(header.node)
    if message.user_id is None:
        raise Forged("it names no user_id, so nothing proves its sender")
    if message.user_id != node_login(node_id):
        raise Forged(f"{message.user_id[:40]} speaks for node {node_id}")
    if message.type not in ("need-sync", "report") or message.key != report_key(node_id, message.type):
        raise Forged(f"type {str(message.type)[:40]!r} under the key {message.key[:60]!r}")
    if header.cluster != cluster:
        raise Forged(f"it is of the cluster {header.cluster[:60]!r}")
    return node_id


class Inbox:
    """Handle the messages of the master's queue."""

    def __init__(self, database: Database, outbox: Outbox, reports: Reports, cluster: str, meters: Meters) -> None:
        self._database, self._outbox, self._reports, self._cluster = database, outbox, reports, cluster
        self._recorded_at: dict[str, float] = {}
        self._meters = meters

    async def handle(self, message: Incoming, *, over: LinkConnection) -> None:
        """Handle one message that came over this connection, by which its sender is answered.

        An unreadable or forged one is parked or refused, with an event. None is redelivered.
        """
        outcome = await self._take(message, over)
        type_ = message.type if message.type in MESSAGE_TYPES else "other"
        self._meters.messages[type_ or "other", outcome] += 1

    async def _take(self, message: Incoming, over: LinkConnection) -> MessageOutcome:
        try:
            header = decode_header(message.headers)
            node_id = sender(message, header, self._cluster)
            body = decode(message.type, message.body)
        except Unreadable as error:
            await self._park(message, str(error), over)
            return "parked"
        except Forged as error:
            await self._refuse(message, error.reason)
            return "refused"
        try:
            match body:
                case NeedSync(ids=ids):
                    await self._answer(node_id, ids, message.round, over)
                case Report():
                    with acting(node_actor(node_id)):
                        await self._reports.take(node_id, body, over)
                    await self._confirm_move(node_id, body, over)
                case CheckSync() | Sync() | UpgradeRequest() | ConfigBody() | ConfigOkBody():
                    await self._refuse(message, "a node does not send this")
                    return "refused"
        except Implausible as error:
            await self._refuse(message, error.reason)
            return "refused"
        except DatabaseError as error:
            log.warning("message.abandoned", type=message.type, node_id=node_id, reason=error.reason)
            return "given_up"
        return "taken"

    async def _answer(self, node_id: NodeId, ids: tuple[int, ...], round_: str | None, over: LinkConnection) -> None:
        """Send the requested records. If some are not of this node, its list is outdated, and a check-sync follows."""
        async with self._database.session() as session:
            rows = await session.rows("sync.desired_records", node_id=node_id, ids=list(ids))
        if not rows:
            return
        records = [record_of(row) for row in rows if row["id"] is not None]
        for body in encode_records(records) if records else []:
            header = Header(v=WIRE_VERSION, cluster=self._cluster, node=node_id, rev=rows[0]["revision"])
            await over.bus.publish(
                Outgoing(exchange=NODE_EXCHANGE, key=str(node_id), type="sync", body=body, header=header, round=round_)
            )
        if len(records) < len(set(ids)):
            await self._outbox.check(node_id, over=over)

    async def _confirm_move(self, node_id: NodeId, report: Report, over: LinkConnection) -> None:
        """Confirm to a node that has just moved that it is heard; a lost confirmation follows its next report."""
        if report.broker is None or not over.confirms(report.broker):
            return
        header = Header(v=WIRE_VERSION, cluster=self._cluster, node=node_id, rev=0)
        body = encode(ConfigOkBody(rev=report.broker.rev))
        await over.bus.publish(
            Outgoing(exchange=NODE_EXCHANGE, key=str(node_id), type="config-ok", body=body, header=header)
        )

    async def _park(self, message: Incoming, reason: str, over: LinkConnection) -> None:
        log.warning("message.parked", type=message.type, user=message.user_id, reason=reason)
        extra = {"reason": reason, "key": message.key, "user": message.user_id or "", "was": str(message.type)[:100]}
        await over.bus.publish(
            Outgoing(exchange="", key=DEAD_QUEUE, type="dead", body=message.body[:READ_LIMIT], header=None, extra=extra)
        )
        await self._record(message, "message.parked", reason)

    async def _refuse(self, message: Incoming, reason: str) -> None:
        log.error("message.refused", type=message.type, user=message.user_id, key=message.key, reason=reason)
        await self._record(message, "message.refused", reason)

    async def _record(
        self, message: Incoming, type_: Literal["message.parked", "message.refused"], reason: str
    ) -> None:
        """Record an event, but not for each message of a flood."""
        key = f"{type_} {message.user_id}"
        now = time.monotonic()
        if now - self._recorded_at.get(key, -REFUSAL_EVENT_EVERY_S) < REFUSAL_EVENT_EVERY_S:
            return
        self._recorded_at = {
            other: at for other, at in self._recorded_at.items() if now - at < REFUSAL_EVENT_EVERY_S
        } | {key: now}
        details = {"reason": reason, "user": message.user_id, "key": printable(message.key, KEY_LIMIT)}
        try:
            async with self._database.transaction() as session:
                await record_events(session, [NewEvent(type=type_, details=details)])
        except DatabaseError as error:
            log.warning("event.not_recorded", type=type_, reason=error.reason)


def record_of(row: Row) -> bytes:
    """Encode a row of desired_records as a record's JSON."""
    fields = {name: value for name, value in row.items() if name != "revision"}
    fields["allow_ips"] = tuple(fields["allow_ips"])
    fields["exit"], fields["limits"] = Exit.model_validate(row["exit"]), Limits.model_validate(row["limits"])
    fields["destinations"] = Destinations.model_validate(row["destinations"])
    fields["also"] = tuple(FurtherPort.model_validate(each) for each in row["also"])
    return ProxyRecord.model_construct(**fields).model_dump_json(exclude_defaults=True).encode()
