"""Resolves names to addresses: the system's resolver in threads, behind a short-lived cache."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain, count, zip_longest
from time import monotonic

from node.engine.builtin.net.dns.lookup_queue import SLOW_S, LookupQueue, ProxyLookups
from node.engine.builtin.net.dns.threads import Threads
from node.engine.builtin.net.timeouts import PromptTimeouts

Address = tuple[socket.AddressFamily, str]

TTL_S = 30.0
"""The longest time for which an address is cached: the system's resolver does not return the record's time to live."""
FAILED_TTL_S = 3.0
SLOW_FAILED_TTL_S = 15.0
"""For a name that took long and could not be resolved: asking again would occupy a thread for as long."""
MAX_ADDRESSES = 16
"""Addresses kept of one name; there would be no time to try more before the connector gives up."""

_REMEMBERED = 4096
_MAPPED = b"\0" * 10 + b"\xff\xff"


LookupCallback = Callable[[tuple[Address, ...]], None]
"""Called with the addresses in order of preference; with none if the name cannot be resolved."""


@dataclass(eq=False, slots=True)
class Lookup:
    """A name to look up: in the queues of some proxies until it is started for one of them, its `owner`."""

    host: str
    waiting: dict[int, LookupCallback] = field(default_factory=dict[int, LookupCallback])
    queued: list[ProxyLookups] = field(default_factory=list[ProxyLookups])
    owner: ProxyLookups | None = None
    began: float = 0.0
    is_young: bool = True


class Resolver:
    """Resolves names; connections that ask for the same name at the same time share a lookup. LookupQueue decides
    which lookup starts when."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._threads = Threads("resolver")
        self._known: dict[str, tuple[float, tuple[Address, ...]]] = {}
        self._lookups: dict[str, Lookup] = {}
        self._queue = LookupQueue()
        self._numbers = count()
        self._young: PromptTimeouts[Lookup] = PromptTimeouts(SLOW_S, self._slow, loop)

    def known(self, host: str) -> tuple[Address, ...] | None:
        """The addresses of a literal or of a cached name; None if the name has to be looked up."""
        remembered = self._known.get(host)
        if remembered is not None and remembered[0] > monotonic():
            return remembered[1]
        return literal(host)

    def look_up(self, host: str, callback: LookupCallback, proxy_id: int) -> Callable[[], None] | None:
        """Look up a name and call back in the event loop. The returned function cancels the call.

        None: the callback was called already, because too many names are waiting for this proxy.
        """
        lookup = self._lookups.get(host)
        if lookup is None:
            lookup = self._lookups[host] = Lookup(host)
        number = next(self._numbers)
        lookup.waiting[number] = callback
        if lookup.owner is None and not self._begin_or_queue(lookup, self._queue.of(proxy_id)):
            del lookup.waiting[number]
            self._drop_unused(lookup)
            callback(())
            return None
        return partial(self._cancel, lookup, number)

    def remember(self, host: str, addresses: tuple[Address, ...], *, slow: bool = False) -> None:
        """Cache addresses for a while; the oldest entry makes room."""
        self._known.pop(host, None)
        while len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        ttl_s = TTL_S if addresses else SLOW_FAILED_TTL_S if slow else FAILED_TTL_S
        self._known[host] = (monotonic() + ttl_s, addresses)

    def close(self) -> None:
        self._young.close()
        self._threads.close()

    def _begin_or_queue(self, lookup: Lookup, lookups: ProxyLookups) -> bool:
        """Start or queue the lookup; False if the proxy's queue is full."""
        now = monotonic()
        if self._queue.may_begin(lookups, now):
            self._begin(lookup, lookups)
        elif not self._queue.queue(lookups, lookup.host, now):
            return False
        elif lookups not in lookup.queued:
            lookup.queued.append(lookups)
        return True

    def _cancel(self, lookup: Lookup, number: int) -> None:
        """Drop one callback. A lookup that has started goes on, because it cannot be cancelled."""
        lookup.waiting.pop(number, None)
        self._drop_unused(lookup)

    def _drop_unused(self, lookup: Lookup) -> None:
        if lookup.owner is None and not lookup.waiting and self._lookups.get(lookup.host) is lookup:
            del self._lookups[lookup.host]
            self._leave_queues(lookup)

    def _leave_queues(self, lookup: Lookup) -> None:
        for lookups in lookup.queued:
            self._queue.leave(lookups, lookup.host, monotonic())
        lookup.queued.clear()

    def _begin(self, lookup: Lookup, lookups: ProxyLookups) -> None:
        self._leave_queues(lookup)
        lookup.owner, lookup.began = lookups, monotonic()
        self._queue.begin(lookups)
        self._young.add(lookup, lookup.began)
        if not self._threads.run(partial(self._find, lookup)):
            self._loop.call_soon(self._found, lookup, None)

    def _begin_next(self) -> None:
        """Start the lookups that may start now."""
        while (next_lookup := self._queue.next(monotonic())) is not None:
            lookups, host = next_lookup
            self._begin(self._lookups[host], lookups)

    def _slow(self, lookup: Lookup) -> None:
        if lookup.owner is not None:
            lookup.is_young = False
            self._queue.slow(lookup.owner, monotonic())
            self._begin_next()

    def _find(self, lookup: Lookup) -> None:
        """Resolve the name, in a thread."""
        addresses = _look_up(lookup.host)
        # The loop is closed when the worker ends; nobody waits then.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._found, lookup, addresses)

    def _found(self, lookup: Lookup, addresses: tuple[Address, ...] | None) -> None:
        """Handle the result; None if the lookup could not run, so that nothing is known about the name."""
        self._young.discard(lookup)
        del self._lookups[lookup.host]
        if lookup.owner is not None:
            now = monotonic()
            self._queue.end(lookup.owner, now, young=lookup.is_young, took_s=now - lookup.began)
        if addresses is not None:
            self.remember(lookup.host, addresses, slow=not lookup.is_young)
        self._begin_next()
        # A callback may cancel others.
        for callback in list(lookup.waiting.values()):
            callback(addresses or ())


@lru_cache(_REMEMBERED)
def literal(host: str) -> tuple[Address, ...] | None:
    """The address of a literal in canonical form; None for a name. An IPv4-mapped IPv6 address becomes the IPv4 one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        packed = socket.inet_pton(family, host)
    except OSError:
        return None
    if packed.startswith(_MAPPED) and family == socket.AF_INET6:
        return ((socket.AF_INET, socket.inet_ntop(socket.AF_INET, packed[len(_MAPPED) :])),)
    return ((family, socket.inet_ntop(family, packed)),)


def interleaved(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """Alternate between the families, beginning with that of the first address, each in its own order (RFC 8305 §4)."""
    families: dict[socket.AddressFamily, list[Address]] = {}
    for address in dict.fromkeys(addresses):
        families.setdefault(address[0], []).append(address)
    mixed = chain.from_iterable(zip_longest(*families.values()))
    return tuple(address for address in mixed if address is not None)[:MAX_ADDRESSES]


def _look_up(host: str) -> tuple[Address, ...]:
    """Resolve a name, passed as bytes so that no IDNA codec is applied; clients send names in their ASCII form."""
    try:
        found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return ()
    return interleaved(chain.from_iterable(literal(str(address[0])) or () for _, _, _, _, address in found))
