"""Names to addresses: the system's resolver in a few threads, with a short memory in front of it."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import chain, zip_longest
from time import monotonic

TTL_S = 30.0
"""The longest an address is remembered: the system's resolver does not tell the record's own time to live."""
FAILED_TTL_S = 3.0
MOST_ADDRESSES = 16
"""Of one name; more would not get their turn before a dial is given up."""

_THREADS = 32
"""Made as they are needed: one that waits for a dead name server holds up nobody else."""
_REMEMBERED = 4096
_AT_ONCE = 8
"""Names of one proxy; a client that asks for many dead ones keeps its own proxy waiting, not the others."""
_MOST_QUEUED = 256
"""Of one proxy behind those; the next ones fail at once."""
_MAPPED = b"\0" * 10 + b"\xff\xff"

Address = tuple[socket.AddressFamily, str]
Waiting = Callable[[tuple[Address, ...]], None]
"""Called with the addresses in the order of preference; none when the name cannot be resolved."""


class Resolver:
    """Several connections that ask for the same name at once share one look-up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="resolver")
        self._known: dict[str, tuple[float, tuple[Address, ...]]] = {}
        self._waiting: dict[str, list[Waiting]] = {}
        self._busy: dict[int, int] = {}
        self._queues: dict[int, deque[str]] = {}

    def known(self, host: str) -> tuple[Address, ...] | None:
        """The addresses of a literal or of a name it remembers; None when it must be looked up."""
        remembered = self._known.get(host)
        if remembered is not None and remembered[0] > monotonic():
            return remembered[1]
        return literal(host)

    def look_up(self, host: str, then: Waiting, proxy_id: int) -> None:
        """Calls back in the event loop; later, unless the proxy waits for too many names."""
        if host in self._waiting:
            self._waiting[host].append(then)
        elif self._busy.get(proxy_id, 0) < _AT_ONCE:
            self._waiting[host] = [then]
            self._begin(host, proxy_id)
        elif len(queue := self._queues.setdefault(proxy_id, deque())) < _MOST_QUEUED:
            self._waiting[host] = [then]
            queue.append(host)
        else:
            then(())

    def remember(self, host: str, addresses: tuple[Address, ...]) -> None:
        """For a while; the name that was looked up longest ago is forgotten for it."""
        self._known.pop(host, None)
        while len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[host] = (monotonic() + (TTL_S if addresses else FAILED_TTL_S), addresses)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self, host: str, proxy_id: int) -> None:
        self._busy[proxy_id] = self._busy.get(proxy_id, 0) + 1
        found = self._threads.submit(_look_up, host)
        found.add_done_callback(lambda done: self._tell(host, proxy_id, done))

    def _tell(self, host: str, proxy_id: int, done: Future[tuple[Address, ...]]) -> None:
        """Runs in a resolver thread."""
        if not done.cancelled() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._resolved, host, proxy_id, done)

    def _resolved(self, host: str, proxy_id: int, done: Future[tuple[Address, ...]]) -> None:
        self._go_on(proxy_id)
        addresses = done.result()
        self.remember(host, addresses)
        for then in self._waiting.pop(host):
            then(addresses)

    def _go_on(self, proxy_id: int) -> None:
        """One of its names is done, so the next one begins."""
        self._busy[proxy_id] -= 1
        queue = self._queues.get(proxy_id)
        if queue:
            self._begin(queue.popleft(), proxy_id)
        if not queue:
            self._queues.pop(proxy_id, None)
        if not self._busy[proxy_id]:
            del self._busy[proxy_id]


@lru_cache(_REMEMBERED)
def literal(host: str) -> tuple[Address, ...] | None:
    """The one address that a literal names, in its canonical spelling; None for a name. An IPv4-mapped IPv6 address
    is the IPv4 one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        packed = socket.inet_pton(family, host)
    except OSError:
        return None
    if packed.startswith(_MAPPED) and family == socket.AF_INET6:
        return ((socket.AF_INET, socket.inet_ntop(socket.AF_INET, packed[len(_MAPPED) :])),)
    return ((family, socket.inet_ntop(family, packed)),)


def interleaved(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """The families by turns, beginning with the first one's, each in its own order (RFC 8305 §4)."""
    families: dict[socket.AddressFamily, list[Address]] = {}
    for address in dict.fromkeys(addresses):
        families.setdefault(address[0], []).append(address)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return tuple(address for address in turns if address is not None)[:MOST_ADDRESSES]


def _look_up(host: str) -> tuple[Address, ...]:
    """As bytes, so that no IDNA codec stands in the way; a client sends names in their ASCII form."""
    try:
        found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return interleaved(chain.from_iterable(literal(str(address[0])) or () for _, _, _, _, address in found))
