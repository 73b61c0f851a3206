"""Names to addresses: the system's resolver in a few threads, with a short memory in front of it."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic

TTL_S = 30.0
FAILED_TTL_S = 3.0
_THREADS = 8
_REMEMBERED = 4096

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

    def known(self, host: str) -> tuple[Address, ...] | None:
        """The addresses of a literal or of a name it remembers; None when it must be looked up."""
        remembered = self._known.get(host)
        if remembered is not None and remembered[0] > monotonic():
            return remembered[1]
        return literal(host)

    def look_up(self, host: str, then: Waiting) -> None:
        """Calls back later, in the event loop."""
        if host in self._waiting:
            self._waiting[host].append(then)
            return
        self._waiting[host] = [then]
        found = self._threads.submit(_look_up, host)
        found.add_done_callback(lambda done: self._tell(host, done))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _tell(self, host: str, done: Future[tuple[Address, ...]]) -> None:
        """Runs in a resolver thread."""
        if not done.cancelled() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._resolved, host, done)

    def _resolved(self, host: str, done: Future[tuple[Address, ...]]) -> None:
        addresses = done.result()
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[host] = (monotonic() + (TTL_S if addresses else FAILED_TTL_S), addresses)
        for then in self._waiting.pop(host):
            then(addresses)


def literal(host: str) -> tuple[Address, ...] | None:
    """The one address that a literal names, None for a name."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host)
    except OSError:
        return None
    return ((family, host),)


def _look_up(host: str) -> tuple[Address, ...]:
    """As bytes, so that no IDNA codec stands in the way; a client sends names in their ASCII form."""
    try:
        found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))
