"""Keeps the ledger of a worker's proxies, and holds them to their limits of time and traffic."""

import os
import time
from collections.abc import Callable, Collection, Iterable

from node.engine.builtin import log
from node.engine.builtin.accounting.account import Account
from node.engine.builtin.accounting.ledger import Ledger
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.policy.records import Record
from node.engine.builtin.sessions.proxy import Proxy
from node.engine.builtin.sessions.throttle import Throttle

WRITE_S = 1.0
"""The most that a worker's sudden end costs."""
LOOK_S = 0.4
"""Between two looks at the clock for proxies that have limits; traffic is also looked at where it moves."""
_ADOPT_S = 10.0


class Bookkeeping:
    """`services` tells every proxy of the worker."""

    def __init__(self, reactor: Reactor, ledger: Ledger, services: Callable[[], Iterable[Proxy]]) -> None:
        self.ledger = ledger
        self._reactor = reactor
        self._services = services
        self._limited: set[Proxy] = set()
        self._followed = False
        self._clock = time.time()
        now = time.monotonic()
        self._write_at, self._adopt_at = now + WRITE_S, now + _ADOPT_S
        self._timer = reactor.loop.call_later(LOOK_S, self._tick)

    def account(self, record: Record) -> Account:
        """Of a proxy that comes to this worker. Raises ValueError when its quota cannot be held to."""
        try:
            self._follow()
            return Account(record.id, self.ledger.spent(record.id))
        except OSError as error:
            log.write("ledger.unreadable", proxy_id=record.id, errno=error.errno)
            if record.limits.traffic_bytes is not None:
                text = f"how much traffic it has used cannot be read: {os.strerror(error.errno or 0)}"
                raise ValueError(text) from error
        return Account(record.id, None)

    def _recall(self) -> None:
        """What proxies without a quota had spent and could not be read when they came."""
        unknown = [service.account for service in self._services() if not service.account.is_known]
        if not unknown:
            return
        try:
            self.ledger.follow()
            for account in unknown:
                account.recall(self.ledger.spent(account.id), self._clock)
        except OSError as error:
            log.write("ledger.unreadable", errno=error.errno)

    def _follow(self) -> None:
        """Once for all orders that came together: what others wrote before they were sent is there by now."""
        if not self._followed:
            self.ledger.follow()
            self._followed = True
            self._reactor.loop.call_soon(self._forget_followed)

    def _forget_followed(self) -> None:
        self._followed = False

    def watch(self, service: Proxy) -> None:
        """After its record came or changed."""
        if service.record.limits.expires_at is None and service.record.limits.traffic_bytes is None:
            self._limited.discard(service)
        else:
            self._limited.add(service)
        if service in self._limited or service.is_watched:
            service.look(time.time())
        self._pace(service)

    def _pace(self, service: Proxy) -> None:
        limits, rate_limit = service.record.limits, service.rate_limit
        if limits.bandwidth_bps is None and limits.traffic_bytes is None:
            service.rate_limit = None
        elif rate_limit is None:
            rate_limit = service.rate_limit = Throttle(self._reactor, service)
        if rate_limit is not None:
            rate_limit.tune(limits.bandwidth_bps)

    def finish(self, services: Collection[Proxy]) -> None:
        """They are gone from this worker: whoever takes the proxies next finds what they have spent."""
        self._limited.difference_update(services)
        self._write(services, over=True)

    def close(self) -> None:
        self._timer.cancel()
        self.ledger.close()

    def _tick(self) -> None:
        self._timer = self._reactor.loop.call_later(LOOK_S, self._tick)
        before, self._clock = self._clock, time.time()
        for service in list(self._limited):
            if service.is_due(self._clock) or self._clock < before:
                service.look(self._clock)
        now = time.monotonic()
        if now >= self._write_at:
            self._write_at = now + WRITE_S
            self._write(self._services(), over=False)
        if now >= self._adopt_at:
            self._adopt_at = now + _ADOPT_S
            self._recall()
            self.ledger.adopt()
        self._reactor.sweep()

    def _write(self, services: Iterable[Proxy], *, over: bool) -> None:
        now = time.time()
        entries = [(service, entry) for service in services if (entry := service.entry(now)) is not None]
        if entries and self.ledger.write((entry for _, entry in entries)):
            for service, entry in entries:
                service.account.written(entry)
        if over:
            for service in services:
                self.ledger.end(service.account.key)
