"""Names to addresses: the system's resolver in threads, with a short memory in front of it."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain, count, zip_longest
from time import monotonic

from node.engine.builtin.net.dns.lookup_queue import SLOW_S, Asker, LookupQueue
from node.engine.builtin.net.dns.threads import Threads
from node.engine.builtin.net.timeouts import PromptTimeouts

Address = tuple[socket.AddressFamily, str]

TTL_S = 30.0
"""The longest an address is remembered: the system's resolver does not tell the record's own time to live."""
FAILED_TTL_S = 3.0
SLOW_FAILED_TTL_S = 15.0
"""For a name that could not be resolved and took its time: to ask for it again costs a thread for as long again."""
MOST_ADDRESSES = 16
"""Of one name; more would not get their turn before a dial is given up."""

_REMEMBERED = 4096
_MAPPED = b"\0" * 10 + b"\xff\xff"


LookupCallback = Callable[[tuple[Address, ...]], None]
"""Called with the addresses in the order of preference; none when the name cannot be resolved."""


@dataclass(eq=False, slots=True)
class LookUp:
    """A name that is asked for: in the queues of some proxies until it begins for one of them, its `holder`."""

    host: str
    waiting: dict[int, LookupCallback] = field(default_factory=dict[int, LookupCallback])
    queued: list[Asker] = field(default_factory=list[Asker])
    holder: Asker | None = None
    began: float = 0.0
    is_young: bool = True


class Resolver:
    """Connections that ask for the same name at once share one look-up. Which begins when is decided by Turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._threads = Threads("resolver")
        self._known: dict[str, tuple[float, tuple[Address, ...]]] = {}
        self._asked: dict[str, LookUp] = {}
        self._turns = LookupQueue()
        self._numbers = count()
        self._young: PromptTimeouts[LookUp] = PromptTimeouts(SLOW_S, self._slow, loop)

    def known(self, host: str) -> tuple[Address, ...] | None:
        """The addresses of a literal or of a name it remembers; None when it must be looked up."""
        remembered = self._known.get(host)
        if remembered is not None and remembered[0] > monotonic():
            return remembered[1]
        return literal(host)

    def look_up(self, host: str, then: LookupCallback, proxy_id: int) -> Callable[[], None] | None:
        """Calls back in the event loop, unless what it returns is called before.

        None: it has called back, for the proxy waits for too many names.
        """
        asked = self._asked.get(host)
        if asked is None:
            asked = self._asked[host] = LookUp(host)
        number = next(self._numbers)
        asked.waiting[number] = then
        if asked.holder is None and not self._waits(asked, self._turns.asker(proxy_id)):
            del asked.waiting[number]
            self._drop_unwanted(asked)
            then(())
            return None
        return partial(self._give_up, asked, number)

    def remember(self, host: str, addresses: tuple[Address, ...], *, slow: bool = False) -> None:
        """For a while; the name that was looked up longest ago is forgotten for it."""
        self._known.pop(host, None)
        while len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        ttl_s = TTL_S if addresses else SLOW_FAILED_TTL_S if slow else FAILED_TTL_S
        self._known[host] = (monotonic() + ttl_s, addresses)

    def close(self) -> None:
        self._young.close()
        self._threads.close()

    def _waits(self, asked: LookUp, asker: Asker) -> bool:
        """Whether the look-up has begun or has its place in the proxy's queue."""
        now = monotonic()
        if self._turns.may_begin(asker, now):
            self._begin(asked, asker)
        elif not self._turns.queue(asker, asked.host, now):
            return False
        elif asker not in asked.queued:
            asked.queued.append(asker)
        return True

    def _give_up(self, asked: LookUp, number: int) -> None:
        """One that waited does not any more; a look-up that has begun goes on, for nobody can end it."""
        asked.waiting.pop(number, None)
        self._drop_unwanted(asked)

    def _drop_unwanted(self, asked: LookUp) -> None:
        if asked.holder is None and not asked.waiting and self._asked.get(asked.host) is asked:
            del self._asked[asked.host]
            self._leave_queues(asked)

    def _leave_queues(self, asked: LookUp) -> None:
        for asker in asked.queued:
            self._turns.leave(asker, asked.host, monotonic())
        asked.queued.clear()

    def _begin(self, asked: LookUp, asker: Asker) -> None:
        self._leave_queues(asked)
        asked.holder, asked.began = asker, monotonic()
        self._turns.begin(asker)
        self._young.add(asked, asked.began)
        if not self._threads.give(partial(self._find, asked)):
            self._loop.call_soon(self._found, asked, None)

    def _go_on(self) -> None:
        """Begins what may begin now."""
        while (turn := self._turns.next(monotonic())) is not None:
            asker, host = turn
            self._begin(self._asked[host], asker)

    def _slow(self, asked: LookUp) -> None:
        if asked.holder is not None:
            asked.is_young = False
            self._turns.slow(asked.holder, monotonic())
            self._go_on()

    def _find(self, asked: LookUp) -> None:
        """Runs in a thread."""
        addresses = _look_up(asked.host)
        # The loop is closed when the worker ends: then nobody waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._found, asked, addresses)

    def _found(self, asked: LookUp, addresses: tuple[Address, ...] | None) -> None:
        """None: it could not be looked up, so nothing is known of the name."""
        self._young.discard(asked)
        del self._asked[asked.host]
        if asked.holder is not None:
            now = monotonic()
            self._turns.end(asked.holder, now, young=asked.is_young, took_s=now - asked.began)
        if addresses is not None:
            self.remember(asked.host, addresses, slow=not asked.is_young)
        self._go_on()
        # One that is called may give up its other waits.
        for then in list(asked.waiting.values()):
            then(addresses or ())


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
    except (OSError, ValueError):
        return ()
    return interleaved(chain.from_iterable(literal(str(address[0])) or () for _, _, _, _, address in found))
