"""Writes the usage of a worker's proxies to the ledger, and applies their limits of time and traffic."""

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
"""Time between two writes: the usage that is lost if a worker is killed."""
CHECK_S = 0.4
"""Time between two checks of proxies with limits; traffic is also checked where it moves."""
_ADOPT_S = 10.0


class Bookkeeping:
    """The accounts of a worker; `proxies` returns all its proxies."""

    def __init__(self, reactor: Reactor, ledger: Ledger, proxies: Callable[[], Iterable[Proxy]]) -> None:
        self.ledger = ledger
        self._reactor = reactor
        self._proxies = proxies
        self._limited: set[Proxy] = set()
        self._is_refreshed = False
        self._clock = time.time()
        now = time.monotonic()
        self._write_at, self._adopt_at = now + WRITE_S, now + _ADOPT_S
        self._timer = reactor.loop.call_later(CHECK_S, self._tick)

    def account(self, record: Record) -> Account:
        """Open the account of a proxy that comes to this worker. Raises ValueError if its quota cannot be enforced."""
        try:
            self._refresh_ledger()
            return Account(record.id, self.ledger.spent(record.id))
        except OSError as error:
            log.write("ledger.unreadable", proxy_id=record.id, errno=error.errno)
            if record.limits.traffic_bytes is not None:
                text = f"how much traffic it has used cannot be read: {os.strerror(error.errno or 0)}"
                raise ValueError(text) from error
        return Account(record.id, None)

    def _load_earlier(self) -> None:
        """Read the earlier traffic of proxies without a quota for which that failed when they came."""
        unknown = [proxy.account for proxy in self._proxies() if not proxy.account.is_known]
        if not unknown:
            return
        try:
            self.ledger.refresh()
            for account in unknown:
                account.add_earlier(self.ledger.spent(account.id), self._clock)
        except OSError as error:
            log.write("ledger.unreadable", errno=error.errno)

    def _refresh_ledger(self) -> None:
        """Refresh the ledger, once for all commands that came together: what other workers wrote before is readable by
        now."""
        if not self._is_refreshed:
            self.ledger.refresh()
            self._is_refreshed = True
            self._reactor.loop.call_soon(self._expire_ledger)

    def _expire_ledger(self) -> None:
        self._is_refreshed = False

    def update(self, proxy: Proxy) -> None:
        """Apply the limits of a new or changed record."""
        if proxy.record.limits.expires_at is None and proxy.record.limits.traffic_bytes is None:
            self._limited.discard(proxy)
        else:
            self._limited.add(proxy)
        if proxy in self._limited or proxy.is_watched:
            proxy.apply_limits(time.time())
        self._set_rate_limit(proxy)

    def _set_rate_limit(self, proxy: Proxy) -> None:
        limits, rate_limit = proxy.record.limits, proxy.rate_limit
        if limits.bandwidth_bps is None and limits.traffic_bytes is None:
            proxy.rate_limit = None
        elif rate_limit is None:
            rate_limit = proxy.rate_limit = Throttle(self._reactor, proxy)
        if rate_limit is not None:
            rate_limit.tune(limits.bandwidth_bps)

    def finish(self, proxies: Collection[Proxy]) -> None:
        """Write the last entries of proxies that leave this worker, for the worker that takes them over."""
        self._limited.difference_update(proxies)
        self._write(proxies, ended=True)

    def close(self) -> None:
        self._timer.cancel()
        self.ledger.close()

    def _tick(self) -> None:
        self._timer = self._reactor.loop.call_later(CHECK_S, self._tick)
        before, self._clock = self._clock, time.time()
        for proxy in list(self._limited):
            if proxy.is_due(self._clock) or self._clock < before:
                proxy.apply_limits(self._clock)
        now = time.monotonic()
        if now >= self._write_at:
            self._write_at = now + WRITE_S
            self._write(self._proxies(), ended=False)
        if now >= self._adopt_at:
            self._adopt_at = now + _ADOPT_S
            self._load_earlier()
            self.ledger.adopt()
        self._reactor.sweep()

    def _write(self, proxies: Iterable[Proxy], *, ended: bool) -> None:
        now = time.time()
        entries = [(proxy, entry) for proxy in proxies if (entry := proxy.entry(now)) is not None]
        if entries and self.ledger.write((entry for _, entry in entries)):
            for proxy, entry in entries:
                proxy.account.mark_written(entry)
        if ended:
            for proxy in proxies:
                self.ledger.end(proxy.account.key)
