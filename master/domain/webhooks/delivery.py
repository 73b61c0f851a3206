"""Tells receivers of events: each in order and at least once, however many masters there are.

A webhook's place in the log is in its row. Whoever delivers holds a claim, which ends by itself, and moves the place
only while it is his own: a master that dies in between leaves one message that is told twice, with the same id.
"""

import asyncio
import json
import random
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import structlog

from master.background import keep_on
from master.db.database import Database, Row
from master.domain.events import log as events
from master.domain.webhooks.schemas import Delivery
from master.domain.webhooks.signing import choice, payload, signature
from master.errors import DatabaseError
from shared.special_addresses import is_public
from shared.tasks import wait_for_event

log = structlog.get_logger()

POLL_S = 2.0
PASS_EVERY_S = 30.0
IN_FLIGHT = 32
PAGE = 50
ANSWER_S = 10.0
LEASE = timedelta(seconds=30)
"""Of a claim: longer than one message may take."""
MOST_WAIT_S = 3_600.0
GONE = 410
"""The receiver wants no more (Standard Webhooks): the webhook is disabled."""

Resolve = Callable[[str, int], Awaitable[list[str]]]


class NotDelivered(Exception):
    """No message was delivered, for this reason."""


async def resolved(host: str, port: int) -> list[str]:
    """The addresses of a name. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def wait_s(failures: int, draw: float) -> float:
    """Before the next try after so many failures: from a second, doubling, up to an hour; `draw` in 0-1 spreads it."""
    bound = min(MOST_WAIT_S, 2.0 ** min(failures, 32))
    return bound * (0.5 + draw / 2)


class DeliveryRunner:
    """Delivers until cancelled."""

    def __init__(self, database: Database, *, allow_private: bool, resolve: Resolve = resolved) -> None:
        """`allow_private`: receivers may be in private networks."""
        self._database, self._resolve, self.allow_private = database, resolve, allow_private
        # No keep-alive: connections are told apart by address, and one address may serve many names.
        limits = httpx.Limits(max_connections=2 * IN_FLIGHT, max_keepalive_connections=0)
        self._http = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)
        self._news = asyncio.Event()
        self._are_any = True
        self._in_flight = 0
        self._passed_at = -PASS_EVERY_S

    def wake(self) -> None:
        """The log has grown."""
        if self._are_any:
            self._news.set()

    def look(self) -> None:
        """There is a webhook that is new or otherwise."""
        self._are_any = True
        self._news.set()

    async def run(self) -> None:
        """Deliver what is due."""
        async with asyncio.TaskGroup() as group:
            await keep_on(partial(self._turn, group), "deliveries", most_s=POLL_S)

    async def _turn(self, group: asyncio.TaskGroup) -> None:
        self._news.clear()
        if time.monotonic() - self._passed_at > PASS_EVERY_S:
            await self._pass_over()
            self._passed_at = time.monotonic()
        for hook in await self._claim():
            self._in_flight += 1
            group.create_task(self._deliver(hook))
        await wait_for_event(self._news, POLL_S)

    async def close(self) -> None:
        """End its connections."""
        await self._http.aclose()

    async def test(self, hook: Row) -> Delivery:
        """Send one message that tells of no event."""
        body = {"type": "webhook.test", "timestamp": datetime.now(UTC).isoformat(), "data": {"webhook_id": hook["id"]}}
        return await self._send(hook, f"test_{secrets.token_hex(8)}", json.dumps(body).encode())

    async def _pass_over(self) -> None:
        async with self._database.session() as session:
            await session.execute("webhooks.skip_unmatched")

    async def _claim(self) -> list[Row]:
        most = IN_FLIGHT - self._in_flight
        if most <= 0:
            return []
        async with self._database.session() as session:
            self._are_any = await session.value("webhooks.any_enabled")
            return await session.rows("webhooks.claim", most=most, lease=LEASE) if self._are_any else []

    async def _deliver(self, hook: Row) -> None:
        """All that is due, one event after the other, until one fails or the claim is lost."""
        position, failures = hook["position"], hook["failures"]
        try:
            while True:
                async with self._database.session() as session:
                    page = await events.chosen(session, choice(hook), position, PAGE)
                    if not page:
                        await session.execute("webhooks.release", id=hook["id"], claim=hook["claim"])
                        return
                for event in page:
                    delivery = await self._send(hook, f"evt_{event.id}", payload(event))
                    if not await self._settle(hook, event.id, delivery, failures):
                        return
                    position, failures = event.id, 0
        except DatabaseError as error:
            log.warning("webhook.delivery_given_up", webhook_id=hook["id"], reason=error.reason)
        finally:
            self._in_flight -= 1
            self._news.set()

    async def _settle(self, hook: Row, event_id: int, delivery: Delivery, failures: int) -> bool:
        """Whether to go on with the next."""
        own = {"id": hook["id"], "claim": hook["claim"]}
        async with self._database.session() as session:
            if delivery.ok:
                return bool(await session.rows("webhooks.mark_delivered", **own, position=event_id, lease=LEASE))
            log.warning("webhook.delivery_failed", webhook_id=hook["id"], event_id=event_id, reason=delivery.reason)
            wait = timedelta(seconds=wait_s(failures, random.random()))  # noqa: S311 (jitter)
            is_enabled = delivery.status != GONE
            await session.execute("webhooks.mark_failed", **own, reason=delivery.reason, wait=wait, enabled=is_enabled)
        return False

    async def _send(self, hook: Row, message_id: str, body: bytes) -> Delivery:
        began, status, reason = time.monotonic(), None, None
        try:
            async with asyncio.timeout(ANSWER_S):
                status = await self._post(hook, message_id, body)
            if not 200 <= status < 300:
                reason = f"it answered {status}"
        except NotDelivered as error:
            reason = str(error)
        except (TimeoutError, httpx.TimeoutException):
            reason = f"no answer within {ANSWER_S:g} s"
        except httpx.HTTPError as error:
            reason = f"no answer: {type(error).__name__}"
        latency_ms = round((time.monotonic() - began) * 1000)
        return Delivery(ok=reason is None, status=status, reason=reason, latency_ms=latency_ms)

    async def _post(self, hook: Row, message_id: str, body: bytes) -> int:
        """The status of the answer, of which nothing else is read; a redirect is an answer like any other."""
        url = httpx.URL(hook["url"])
        address = await self._address(url)
        timestamp = int(time.time())
        headers = {
            "Host": url.netloc.decode(),
            "User-Agent": "maybe-proxy",
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(hook["secret"], message_id, timestamp, body),
        }
        extensions = {"sni_hostname": url.raw_host.decode(), "timeout": httpx.Timeout(ANSWER_S).as_dict()}
        where = url.copy_with(host=address)
        request = httpx.Request("POST", where, headers=headers, content=body, extensions=extensions)
        async with aclosing(await self._http.handle_async_request(request)) as answer:
            return answer.status_code

    async def _address(self, url: httpx.URL) -> str:
        """The literal address to connect to: looked up here, so that what was checked is what is called."""
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = await self._resolve(url.raw_host.decode(), port)
        except (OSError, UnicodeError) as error:
            raise NotDelivered("its name is not known") from error
        if not self.allow_private and not all(map(is_public, found)):
            raise NotDelivered("its address is private, and WEBHOOK_ALLOW_PRIVATE is not set")
        return found[0]
