"""Enrols waiting nodes: calls them, proves the challenge, gives them an id, a name and a login at the broker.

Written first: the node's row, with the hash of its broker password; then the broker's login; then the node is told. A
master that dies in between leaves a row whose challenge is remembered, and the same call again goes on from there.
"""

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import quote, urlsplit

import httpx
import structlog
from pydantic import BaseModel, SecretStr, ValidationError

from master.broker import Broker, password_hash
from master.db import Database, Row
from master.errors import Conflict, Invalid, NodeRefused, NodeTooSlow, NodeUnreachable, RowConflict, RowReferenced
from master.events import Event, record_events
from master.names import random_name
from shared.enrolment import (
    BadChallenge,
    BadHandshake,
    Box,
    HelloAnswer,
    MasterHandshake,
    NodeConfig,
    NodeFacts,
    challenge_hash,
)
from shared.messages import node_login, node_queue
from shared.proxies import NodeId

log = structlog.get_logger()

CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 5.0, 10.0
ANSWER_LIMIT = 131_072
NAME_TRIES = 8

Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What POST /nodes asks for."""

    ip: str
    port: int
    challenge: str
    name: str | None
    location_id: int | None
    labels: Mapping[str, str]


def callable_address(text: str) -> str:
    """The literal address of a node, if the master may call it. Raises Invalid.

    Link-local addresses (clouds answer there with credentials), multicast and unspecified ones are refused.
    """
    try:
        address = ip_address(text)
    except ValueError as error:
        raise wrong("/ip", "is not a literal IP address") from error
    plain = getattr(address, "ipv4_mapped", None) or address
    if plain.is_link_local or plain.is_multicast or plain.is_unspecified or plain.is_reserved:
        raise wrong("/ip", "is an address that a node cannot have: link-local, multicast, unspecified or reserved")
    return str(plain)


def plain(text: str) -> str:
    """What a node says of itself, without the one character that PostgreSQL cannot store."""
    return text.replace("\x00", "")


def wrong(pointer: str, detail: str) -> Invalid:
    """The request's body is wrong there."""
    return Invalid(detail=f"{pointer[1:]} {detail}", members={"errors": [{"pointer": pointer, "detail": detail}]})


class Enrolment:
    """Enrols and removes nodes."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        *,
        cluster: str,
        node_amqp_url: str,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        """`node_amqp_url`: the broker's address as nodes see it, without a login."""
        self._database, self._broker, self._cluster, self._node_amqp_url = database, broker, cluster, node_amqp_url
        self._whole_timeout_s = CONNECT_TIMEOUT_S + answer_timeout_s
        limits = httpx.Limits(max_connections=50, max_keepalive_connections=0)
        self._timeout = httpx.Timeout(answer_timeout_s, connect=CONNECT_TIMEOUT_S).as_dict()
        # No client: that would read cookies, unpack what is packed and look at where a redirect leads.
        self._http = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)

    async def enrol(
        self, ip: str, port: int, challenge: str, name: str | None, location_id: int | None, labels: Mapping[str, str]
    ) -> tuple[NodeId, bool]:
        """The node's id and whether it is new. The same challenge again is the same node.

        Raises Invalid, Conflict (name), NodeRefused, NodeUnreachable, NodeTooSlow, BrokerAway, DatabaseAway.
        """
        ip = callable_address(ip)
        asked = Asked(ip=ip, port=port, challenge=challenge, name=name, location_id=location_id, labels=labels)
        try:
            hash_ = challenge_hash(challenge)
            handshake = MasterHandshake(challenge)
        except BadChallenge as error:
            raise wrong("/challenge", str(error)) from error
        known = await self._known(hash_)
        if known is not None and known["session"] > 0:
            return NodeId(known["id"]), False
        if known is None:
            await self._check_wishes(asked)
        facts = await self._hello(asked, handshake)
        password = secrets.token_urlsafe(32)
        node_id, node_name, created = await self._record(asked, facts, hash_, password_hash(password))
        async with self._database.session() as session:
            stored = await session.value("sync.login", node_id=node_id)
        await self._broker.ensure_node(node_id, stored)
        config = NodeConfig(
            node_id=node_id,
            name=node_name,
            cluster=self._cluster,
            amqp_url=self._login_url(node_id, password),
            queue=node_queue(node_id),
        )
        confirmation = await self._post(asked, "/enrol/config", handshake.config(config), Box)
        try:
            handshake.read_confirmation(confirmation, config)
        except BadHandshake as error:
            raise refused(asked) from error
        log.info("node.enrolled", node_id=node_id, name=node_name)
        return node_id, created

    async def remove(self, node_id: NodeId) -> None:
        """Cut a node off that is no more. Raises BrokerAway; then the next connect of a master does it."""
        await self._broker.remove_node(node_id)

    async def close(self) -> None:
        """End its connections."""
        await self._http.aclose()

    async def _known(self, hash_: str) -> Row | None:
        async with self._database.session() as session:
            return await session.row("enrolment.by_challenge", challenge_hash=hash_)

    async def _check_wishes(self, asked: Asked) -> None:
        """Refuse what cannot be before the node is called; the schema has the last word later."""
        async with self._database.session() as session:
            row = await session.row("enrolment.check_wishes", location_id=asked.location_id, name=asked.name)
        if row is None or (asked.location_id is not None and not row["location_exists"]):
            raise no_location(asked)
        if row["name_node_id"] is not None:
            raise name_taken(asked, row["name_node_id"])

    async def _hello(self, asked: Asked, handshake: MasterHandshake) -> NodeFacts:
        answer = await self._post(asked, "/enrol/hello", handshake.hello, HelloAnswer)
        try:
            return handshake.read_answer(answer)
        except BadHandshake as error:
            raise refused(asked) from error

    async def _record(self, asked: Asked, facts: NodeFacts, hash_: str, login_hash: str) -> tuple[NodeId, str, bool]:
        """The node's row; an existing one, not yet in use, gets the new login. A drawn name that is taken: another."""
        for attempt in range(NAME_TRIES):
            try:
                async with self._database.transaction() as session:
                    row = await session.row(
                        "enrolment.record",
                        name=asked.name or random_name(attempt),
                        ip=asked.ip,
                        location_id=asked.location_id,
                        labels=dict(asked.labels),
                        host=plain(facts.host),
                        os=plain(facts.os),
                        addresses=[plain(address) for address in facts.addresses],
                        engines={plain(name): plain(version) for name, version in facts.engines.items()},
                        agent=plain(facts.agent),
                        challenge_hash=hash_,
                        broker_password_hash=login_hash,
                    )
                    assert row is not None  # noqa: S101 (an upsert returns its row)
                    node_id = NodeId(row["id"])
                    if row["created"]:
                        details = {"name": row["name"], "ip": asked.ip}
                        await record_events(session, [Event(type="node.enrolled", node_id=node_id, details=details)])
                    return node_id, row["name"], row["created"]
            except RowConflict as error:
                if error.constraint != "nodes_name_key" or asked.name is not None:
                    raise Conflict(detail=f"the name {asked.name} is taken", members={"name": asked.name}) from error
            except RowReferenced as error:
                raise no_location(asked) from error
        raise Conflict(detail="no free name was found; give the node a name")

    def _login_url(self, node_id: NodeId, password: str) -> SecretStr:
        parts = urlsplit(self._node_amqp_url)
        netloc = f"{node_login(node_id)}:{quote(password, safe='')}@{parts.netloc}"
        return SecretStr(parts._replace(netloc=netloc).geturl())

    async def _post(self, asked: Asked, path: str, body: BaseModel, kind: type[Answer]) -> Answer:
        """One call to the waiting node: a literal address, a small answer, no redirects."""
        host = f"[{asked.ip}]" if ":" in asked.ip else asked.ip
        where = {"ip": asked.ip, "port": asked.port}
        url, timeout = f"http://{host}:{asked.port}{path}", {"timeout": self._timeout}
        request = httpx.Request("POST", url, json=body.model_dump(mode="json"), extensions=timeout)
        content = bytearray()
        try:
            async with (
                asyncio.timeout(self._whole_timeout_s),
                aclosing(await self._http.handle_async_request(request)) as response,
            ):
                async for chunk in response.aiter_raw():
                    content += chunk
                    if len(content) > ANSWER_LIMIT:
                        raise NodeUnreachable(detail="what answers there is no waiting node", members=where)
        except (httpx.TimeoutException, TimeoutError) as error:
            raise NodeTooSlow(detail=f"no answer from {host}:{asked.port} in time", members=where) from error
        except httpx.HTTPError as error:
            detail = f"no node waits at {host}:{asked.port}: {type(error).__name__}"
            raise NodeUnreachable(detail=detail, members=where) from error
        if response.status_code in (403, 429):
            raise refused(asked)
        try:
            if response.status_code != 200:
                raise NodeUnreachable(detail=f"it answered {response.status_code}; no node waits there", members=where)
            return kind.model_validate_json(bytes(content))
        except ValidationError as error:
            raise NodeUnreachable(detail="what answers there is no waiting node", members=where) from error


def refused(asked: Asked) -> NodeRefused:
    """The node says no, or is not the one that has this challenge."""
    return NodeRefused(
        detail="the node there does not have this challenge; read it again from the node's screen",
        members={"ip": asked.ip, "port": asked.port},
    )


def no_location(asked: Asked) -> Invalid:
    """The location does not exist."""
    return wrong("/location_id", f"{asked.location_id} does not exist")


def name_taken(asked: Asked, by_node: int) -> Conflict:
    """Another node has the name."""
    return Conflict(detail=f"the name {asked.name} is taken by node {by_node}", members={"by_node": by_node})
