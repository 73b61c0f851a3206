"""Calls to waiting hosts: prove the challenge, read the host's facts, deliver the configuration."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import structlog
from pydantic import BaseModel, SecretStr, ValidationError

from master.broker_links.links import BrokerLink
from master.db.constraints import storable
from master.domain.proxies.schemas import bracketed
from master.errors import Invalid, NodeRefused, NodeTooSlow, NodeUnreachable
from master.schemas.addresses import node_ip
from master.tls import trusted
from shared.bus.addresses import spread
from shared.enrolment.bodies import REFUSED, Box, HelloAnswer, NodeConfig, NodeFacts
from shared.enrolment.challenge import BadChallenge, challenge_hash
from shared.enrolment.handshake import MasterHandshake
from shared.enrolment.keys import BadHandshake
from shared.messages.routes import node_login, node_queue
from shared.proxies import NodeId

log = structlog.get_logger()

CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 5.0, 10.0
ANSWER_LIMIT = 131_072

AnswerT = TypeVar("AnswerT", bound=BaseModel)


class NoWaitingNode(Exception):
    """Nothing at the address answers like a waiting node. The reason is for the log only."""

    def __init__(self, reason: str, *, is_slow: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.is_slow = reason, is_slow


@dataclass(frozen=True, slots=True)
class WaitingAddress:
    """The address of a waiting host: a literal address that may be called, and the port where it listens."""

    ip: str
    port: int


def callable_address(text: str) -> str:
    """Return the literal address of a node if the master may call it (see node_ip). Raises Invalid."""
    try:
        return node_ip(text)
    except ValueError as error:
        raise invalid_member("/ip", f"is {error}") from error


def fact_columns(facts: NodeFacts) -> dict[str, Any]:
    """Return the facts that a node reports as columns of the table."""
    return {
        "host": storable(facts.host),
        "os": storable(facts.os),
        "addresses": [storable(address) for address in facts.addresses],
        "engines": {storable(name): storable(version) for name, version in facts.engines.items()},
        "agent": storable(facts.agent),
    }


def invalid_member(pointer: str, detail: str) -> Invalid:
    """Return the refusal of a member of the request's body."""
    return Invalid(detail=f"{pointer[1:]} {detail}", members={"errors": [{"pointer": pointer, "detail": detail}]})


def begin_handshake(challenge: str) -> tuple[str, MasterHandshake]:
    """Return the hash of the challenge, and a handshake with it. Raises Invalid."""
    try:
        return challenge_hash(challenge), MasterHandshake(challenge)
    except BadChallenge as error:
        raise invalid_member("/challenge", str(error)) from error


class EnrolmentClient:
    """Shake hands with waiting hosts."""

    def __init__(
        self, cluster: str, link: Callable[[], BrokerLink], ports: Sequence[range], answer_timeout_s: float
    ) -> None:
        """`link` returns the link to the broker that a new node gets; nodes wait at `ports`."""
        self._ports = ports
        self._cluster, self._link = cluster, link
        self._whole_timeout_s = CONNECT_TIMEOUT_S + answer_timeout_s
        limits = httpx.Limits(max_connections=50, max_keepalive_connections=0)
        self._timeout = httpx.Timeout(answer_timeout_s, connect=CONNECT_TIMEOUT_S).as_dict()
        # A bare transport: a client would keep cookies, decompress the answer and read the target of a redirect.
        self._http = httpx.AsyncHTTPTransport(limits=limits, verify=trusted(), trust_env=False)

    def where(self, ip: str, port: int) -> WaitingAddress:
        """Return the address if the master may call it. Raises Invalid."""
        if not any(port in each for each in self._ports):
            allowed = ", ".join(str(each.start) if len(each) == 1 else f"{each[0]}-{each[-1]}" for each in self._ports)
            raise invalid_member(
                "/port", f"is none of those where nodes may wait: {allowed} (the master's setting ENROL_PORTS)"
            )
        return WaitingAddress(callable_address(ip), port)

    async def hello(self, where: WaitingAddress, handshake: MasterHandshake) -> NodeFacts:
        """Return the host's facts, after both sides have proven the challenge. Raises NodeRefused, NodeUnreachable.

        The error is the same whatever else answers there, so that the API cannot be used to find open ports. The
        reason is in the log.
        """
        try:
            answer = await self._post(where, "/enrol/hello", handshake.hello, HelloAnswer)
            return handshake.read_answer(answer)
        except NoWaitingNode as error:
            log.warning("node.not_reached", ip=where.ip, port=where.port, reason=error.reason)
            raise unreachable(where) from error
        except BadHandshake as error:
            raise challenge_refused(where) from error

    async def configure(
        self, where: WaitingAddress, handshake: MasterHandshake, node_id: NodeId, name: str, password: str
    ) -> None:
        """Have the host store its configuration. Raises NodeRefused, NodeUnreachable, NodeTooSlow."""
        link = self._link()
        config = NodeConfig(
            node_id=node_id,
            name=name,
            cluster=self._cluster,
            amqp_urls=tuple(login_url(url, node_id, password) for url in spread(link.node_broker.bare_urls, node_id)),
            ca=link.node_broker.ca,
            broker_rev=link.rev,
            queue=node_queue(node_id),
            ip=where.ip,
        )
        try:
            confirmation = await self._post(where, "/enrol/config", handshake.config(config), Box)
            handshake.read_confirmation(confirmation, config)
        except NoWaitingNode as error:
            log.warning("node.not_configured", ip=where.ip, port=where.port, reason=error.reason)
            raise (too_slow(where) if error.is_slow else unreachable(where)) from error
        except BadHandshake as error:
            raise challenge_refused(where) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _post(self, where: WaitingAddress, path: str, body: BaseModel, kind: type[AnswerT]) -> AnswerT:
        """Call the waiting node: a literal address, a small answer, no redirects. Raises NodeRefused, NoWaitingNode."""
        timeout = {"timeout": self._timeout}
        url = f"http://{bracketed(where.ip)}:{where.port}{path}"
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
                        raise NoWaitingNode("its answer is too long")
        except (httpx.TimeoutException, TimeoutError) as error:
            raise NoWaitingNode("no answer in time", is_slow=True) from error
        except httpx.HTTPError as error:
            raise NoWaitingNode(type(error).__name__) from error
        if response.status_code in (403, 429) and bytes(content) == REFUSED:
            raise challenge_refused(where)
        if response.status_code != 200:
            raise NoWaitingNode(f"it answered {response.status_code}")
        try:
            return kind.model_validate_json(bytes(content))
        except ValidationError as error:
            raise NoWaitingNode("its answer is not a waiting node's") from error


def login_url(url: str, node_id: NodeId, password: str) -> SecretStr:
    """Put a node's login into an address of the broker."""
    parts = urlsplit(url)
    netloc = f"{node_login(node_id)}:{quote(password, safe='')}@{parts.netloc}"
    return SecretStr(parts._replace(netloc=netloc).geturl())


def challenge_refused(where: WaitingAddress) -> NodeRefused:
    """Return the refusal by a node that does not have this challenge."""
    return NodeRefused(
        detail="the node there does not have this challenge; read it again from the node's screen",
        members={"ip": where.ip, "port": where.port},
    )


def unreachable(where: WaitingAddress) -> NodeUnreachable:
    """Return the same error for whatever is there instead of a waiting node."""
    detail = f"no waiting node answers at {bracketed(where.ip)}:{where.port}; the reason is in the master's log"
    return NodeUnreachable(detail=detail, members={"ip": where.ip, "port": where.port})


def too_slow(where: WaitingAddress) -> NodeTooSlow:
    """Return the error for a node that has proven its challenge but did not confirm in time."""
    detail = f"the node at {bracketed(where.ip)}:{where.port} has not confirmed its configuration in time; ask again"
    return NodeTooSlow(detail=detail, members={"ip": where.ip, "port": where.port})
