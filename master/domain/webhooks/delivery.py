"""The delivery of events to webhooks: in order and at least once, however many masters there are.

The row of a webhook holds its position in the log. The master that delivers holds a claim, which expires, and moves the
position only while the claim is its own. After a master has died, one message may be sent twice, with the same id.
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

from master.db.background import keep_on
from master.db.database import Database, Row
from master.domain.events import log as events
from master.domain.webhooks.schemas import Delivery
from master.domain.webhooks.signing import event_filter, payload, signature
from master.errors import DatabaseError
from master.tls import trusted
from shared.special_addresses import is_public
from shared.tasks import wait_for_event

log = structlog.get_logger()

POLL_S = 2.0
SKIP_EVERY_S = 30.0
MAX_IN_FLIGHT = 32
PAGE = 50
ANSWER_S = 10.0
LEASE = timedelta(seconds=30)
"""The duration of a claim, longer than one message can take."""
MAX_RETRY_DELAY_S = 3_600.0
GONE = 410
"""The receiver unsubscribes by this status (Standard Webhooks), so the webhook is disabled."""

Resolve = Callable[[str, int], Awaitable[list[str]]]


class NotDelivered(Exception):
    """A message was not sent, for this reason."""


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def retry_delay_s(failures: int, draw: float) -> float:
    """Return the delay before the next attempt: a second, doubling up to an hour, spread by `draw` in 0-1."""
    bound = min(MAX_RETRY_DELAY_S, 2.0 ** min(failures, 32))
    return bound * (0.5 + draw / 2)


class DeliveryRunner:
    """Deliver events until cancelled."""

    def __init__(self, database: Database, *, allow_private: bool, resolve: Resolve = resolve) -> None:
        """`allow_private` permits receivers in private networks."""
        self._database, self._resolve, self.allow_private = database, resolve, allow_private
        # No keep-alive: connections are pooled by address, and one address may serve many names.
        limits = httpx.Limits(max_connections=2 * MAX_IN_FLIGHT, max_keepalive_connections=0)
        self._http = httpx.AsyncHTTPTransport(limits=limits, verify=trusted(), trust_env=False)
        self._news = asyncio.Event()
        self._any_enabled = True
        self._in_flight = 0
        self._skipped_at = -SKIP_EVERY_S

    def wake(self) -> None:
        """Deliver soon, since the log has grown."""
        if self._any_enabled:
            self._news.set()

    def refresh(self) -> None:
        """Deliver soon, since a webhook was created or changed."""
        self._any_enabled = True
        self._news.set()

    async def run(self) -> None:
        """Deliver events until cancelled."""
        async with asyncio.TaskGroup() as group:
            await keep_on(partial(self._turn, group), "deliveries", most_s=POLL_S)

    async def _turn(self, group: asyncio.TaskGroup) -> None:
        self._news.clear()
        if time.monotonic() - self._skipped_at > SKIP_EVERY_S:
            await self._skip_unmatched()
            self._skipped_at = time.monotonic()
        for hook in await self._claim():
            self._in_flight += 1
            group.create_task(self._deliver(hook))
        await wait_for_event(self._news, POLL_S)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def test(self, hook: Row) -> Delivery:
        """Send one test message without an event."""
        body = {"type": "webhook.test", "timestamp": datetime.now(UTC).isoformat(), "data": {"webhook_id": hook["id"]}}
        return await self._send(hook, f"test_{secrets.token_hex(8)}", json.dumps(body).encode())

    async def _skip_unmatched(self) -> None:
        async with self._database.session() as session:
            await session.execute("webhooks.skip_unmatched")

    async def _claim(self) -> list[Row]:
        free = MAX_IN_FLIGHT - self._in_flight
        if free <= 0:
            return []
        async with self._database.session() as session:
            self._any_enabled = await session.value("webhooks.any_enabled")
            return await session.rows("webhooks.claim", max_rows=free, lease=LEASE) if self._any_enabled else []

    async def _deliver(self, hook: Row) -> None:
        """Deliver all due events, one after the other, until one fails or the claim is lost."""
        position, failures = hook["position"], hook["failures"]
        try:
            while True:
                async with self._database.session() as session:
                    page = await events.matching(session, event_filter(hook), position, PAGE)
                    if not page:
                        await session.execute("webhooks.release", id=hook["id"], claim=hook["claim"])
                        return
                for event in page:
                    delivery = await self._send(hook, f"evt_{event.id}", payload(event))
                    if not await self._record(hook, event.id, delivery, failures):
                        return
                    position, failures = event.id, 0
        except DatabaseError as error:
            log.warning("webhook.delivery_abandoned", webhook_id=hook["id"], reason=error.reason)
        finally:
            self._in_flight -= 1
            self._news.set()

    async def _record(self, hook: Row, event_id: int, delivery: Delivery, failures: int) -> bool:
        """Record a delivery. Return whether to continue with the next event."""
        own = {"id": hook["id"], "claim": hook["claim"]}
        async with self._database.session() as session:
            if delivery.ok:
                return bool(await session.rows("webhooks.mark_delivered", **own, position=event_id, lease=LEASE))
            log.warning("webhook.delivery_failed", webhook_id=hook["id"], event_id=event_id, reason=delivery.reason)
            wait = timedelta(seconds=retry_delay_s(failures, random.random()))  # noqa: S311 (jitter)
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
        """Return the status of the answer; nothing else is read, and redirects are not followed."""
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
        """Resolve the name to the address to connect to, so that the address that was checked is the one called."""
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = await self._resolve(url.raw_host.decode(), port)
        except (OSError, UnicodeError) as error:
            raise NotDelivered("its name is not known") from error
        if not self.allow_private and not all(map(is_public, found)):
            raise NotDelivered("its address is private, and WEBHOOK_ALLOW_PRIVATE is not set")
        return found[0]
