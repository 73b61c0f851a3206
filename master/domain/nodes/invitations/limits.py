"""Bounds of announcements: how many are refused, how many lead to a handshake, and what a repeated one is answered.

Genuine announcements never pay for false ones: a mac is checked before anything is counted, from keys in memory. Pure;
times are monotonic seconds.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Generic, TypeVar

from shared.special_addresses import kinds

HANDSHAKES = 32
"""Handshakes at once that announcements of all senders may cause."""
HANDSHAKES_PER_SENDER = 8
RECENT = 10_000
"""Announcements that are remembered."""
BOUND_S = 600.0
"""Time for which a nonce belongs to the address that announced it first, so that a copy of it leads nowhere."""
REFUSALS_PER_MINUTE = 60
"""False announcements of one sender that are answered with 403 and logged; further ones are answered with 429."""
SENDERS = 4_096
IPV6_NETWORK_BITS = 64

ReplyT = TypeVar("ReplyT")


def sender_of(address: str) -> str:
    """Return what counts as one sender: an IPv4 address, or the network of an IPv6 address."""
    ip = ip_address(address)
    return str(int(ip) >> IPV6_NETWORK_BITS) if isinstance(ip, IPv6Address) else address


def reach(address: str) -> int:
    """Return how private an address is: 0 public, 1 private or otherwise special, 2 loopback."""
    found = kinds(ip_address(address))
    return 2 if "loopback" in found else int(bool(found))


def may_name(sender: str, ip: str) -> bool:
    """Whether a sender may have the master call this address instead of its own.

    Nobody outside of a private network can have the master call into it, and nobody outside of the master's host can
    have it call its own loopback.
    """
    return reach(ip) <= reach(sender)


class RefusalRates:
    """Counts false announcements by sender, in windows of a minute. At most SENDERS are told apart."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._since = float("-inf")

    def admit(self, sender: str, now: float) -> bool:
        """Count one; False if the sender has had too many in this minute."""
        if now - self._since >= 60:
            self._counts.clear()
            self._since = now
        name = sender if sender in self._counts or len(self._counts) < SENDERS else ""
        self._counts[name] += 1
        return self._counts[name] <= REFUSALS_PER_MINUTE

    def wait_s(self, now: float) -> int:
        """Return the seconds until the next window."""
        return max(1, round(self._since + 60 - now))


@dataclass(slots=True)
class Heard(Generic[ReplyT]):
    """An announcement that was taken: its sender, and the answer that it gets again before `until`."""

    sender: str
    bound_until: float
    until: float
    answer: ReplyT | None = field(default=None)


class Recent(Generic[ReplyT]):
    """Remembers announcements by invitation and nonce, the latest RECENT of them."""

    def __init__(self, size: int = RECENT) -> None:
        self._size = size
        self._known: OrderedDict[tuple[int, str], Heard[ReplyT]] = OrderedDict()

    def find(self, key: tuple[int, str], now: float) -> Heard[ReplyT] | None:
        """Return the announcement if it is still bound to its sender."""
        known = self._known.get(key)
        return known if known is not None and now < known.bound_until else None

    def remember(self, key: tuple[int, str], sender: str, answer: ReplyT, now: float, seconds: float) -> None:
        """Have this sender's announcement answered so for some seconds, and nobody else's with its nonce."""
        self._known[key] = Heard(sender, now + max(BOUND_S, seconds), now + seconds, answer)
        self._known.move_to_end(key)
        while len(self._known) > self._size:
            self._known.popitem(last=False)


class Slots:
    """Counts handshakes under way."""

    def __init__(self) -> None:
        self._by_sender: Counter[str] = Counter()

    def take(self, sender: str) -> bool:
        """Take a slot; False if there is none for this sender."""
        if self._by_sender.total() >= HANDSHAKES or self._by_sender[sender] >= HANDSHAKES_PER_SENDER:
            return False
        self._by_sender[sender] += 1
        return True

    def free(self, sender: str) -> None:
        """Give a slot back."""
        self._by_sender[sender] -= 1
        self._by_sender += Counter()
