"""Who may use a proxy: credentials and source networks, decided without I/O."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hmac import compare_digest
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

_SESSION = re.compile(rb"([^:]*)-session-([A-Za-z0-9]{1,64})(:.*)", re.DOTALL)
_MAPPED = IPv6Network("::ffff:0:0/96")
_REMEMBERED, _MEMORABLE = 256, 1024
"""Clients of one proxy, and the bytes of what one may have presented."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a proxy asks of a client. Both must hold where both are there; with neither nobody gets in.

    `credentials` is `name:password`, and `others` are as good; with `sessions` a name may be followed by `-session-ID`.
    `sources` holds (IP version, host bits, network numbers), so that a look-up costs one set membership per prefix
    length.
    """

    credentials: bytes | None = field(repr=False)
    sources: tuple[tuple[int, int, frozenset[int]], ...]
    sessions: bool = False
    others: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def known(self) -> tuple[bytes, ...]:
        """All credentials that let in, the proxy's own first; none where nobody is asked for any."""
        return (self.credentials, *self.others) if self.credentials is not None else ()


LoginName = tuple[str | None, str | None]
"""(user name, password)"""


def access(
    username: str | None,
    password: str | None,
    networks: Sequence[str],
    *,
    sessions: bool = False,
    others: Sequence[LoginName] = (),
) -> Access:
    """Raises ValueError for what is no network. Of the others, a login that asks for nothing lets nobody in."""
    credentials = _credentials(username, password)
    if not networks and not others:
        return Access(credentials, (), sessions)
    groups: dict[tuple[int, int], set[int]] = {}
    for text in networks:
        network = _unmapped(ip_network(text, strict=False))
        host_bits = network.max_prefixlen - network.prefixlen
        groups.setdefault((network.version, host_bits), set()).add(int(network.network_address) >> host_bits)
    sources = tuple((*key, frozenset(numbers)) for key, numbers in sorted(groups.items()))
    also = (each for each in (_credentials(*login) for login in others) if each is not None and each != credentials)
    return Access(credentials, sources, sessions, tuple(dict.fromkeys(also)))


def networks(asked: Access) -> Iterator[str]:
    """The sources as `access` takes them."""
    for version, host_bits, numbers in asked.sources:
        kind = IPv4Network if version == 4 else IPv6Network
        for number in sorted(numbers):
            first = number << host_bits
            yield str(kind((first, (32 if version == 4 else 128) - host_bits)))


def allows_source(asked: Access, source: str) -> bool:
    """Whether a client at this address may come in at all; an IPv4-mapped IPv6 address counts as IPv4."""
    if not asked.sources:
        return asked.credentials is not None
    version, number = _located(source)
    return any(version == kind and number >> bits in numbers for kind, bits, numbers in asked.sources)


def allows_credentials(asked: Access, presented: bytes | None) -> bool:
    """`presented` is `name:password`."""
    return asked.credentials is None or (presented is not None and known_of(asked, presented) is not None)


def known_of(asked: Access, presented: bytes) -> bytes | None:
    """Those of the proxy's credentials that these are, without a session; compares with each in constant time."""
    plain = _without_session(presented)[0] if asked.sessions else presented
    found: bytes | None = None
    for known in asked.known:
        if compare_digest(presented, known) | compare_digest(plain, known):
            found = known
    return found


def let_in_by(asked: Access, presented: bytes | None) -> bytes | None:
    """What to remember of credentials that are allowed: the proxy's own that they are, as far as it has some."""
    return presented if presented is None else known_of(asked, presented) or presented


def session_of(asked: Access, presented: bytes | None) -> bytes | None:
    """The name of the session in credentials that are allowed, None where there is none."""
    if presented is None or not asked.sessions or presented in asked.known:
        return None
    return _without_session(presented)[1]


class Admission(NamedTuple):
    """How a client was let in: the proxy's own credentials, as far as it has some, and the session named with them."""

    credentials: bytes | None
    session: bytes | None


class AccessGate:
    """Lets clients in as one version of a proxy asks. Most come again: whom it let in it knows at once."""

    __slots__ = ("_asked", "known")

    def __init__(self, asked: Access) -> None:
        """`known` is by source and what was presented."""
        self._asked = asked
        self.known: dict[tuple[str, bytes | None], Admission] = {}

    def admission(self, source: str, presented: bytes | None) -> Admission | None:
        """None: not from there or not with these credentials."""
        known = self.known.get((source, presented))
        if known is not None or not allows(self._asked, source, presented):
            return known
        known = Admission(let_in_by(self._asked, presented), session_of(self._asked, presented))
        if len(self.known) >= _REMEMBERED:
            self.known.clear()
        if presented is None or len(presented) <= _MEMORABLE:
            self.known[source, presented] = known
        return known


def allows(asked: Access, source: str, presented: bytes | None) -> bool:
    """Whether a connection from there with these credentials satisfies what is asked."""
    return allows_credentials(asked, presented) and allows_source(asked, source)


def _credentials(username: str | None, password: str | None) -> bytes | None:
    named = username is not None or password is not None
    return f"{username or ''}:{password or ''}".encode() if named else None


def _without_session(presented: bytes) -> tuple[bytes, bytes | None]:
    """`name-session-ID:password` without the session, and its ID."""
    form = _SESSION.fullmatch(presented)
    return (form[1] + form[3], form[2]) if form else (presented, None)


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


@lru_cache(maxsize=4096)
def _located(source: str) -> tuple[int, int]:
    """(IP version, address as a number); version 0 for what is no address."""
    try:
        address = ip_address(source.partition("%")[0])
    except ValueError:
        return 0, 0
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.version, int(address)
