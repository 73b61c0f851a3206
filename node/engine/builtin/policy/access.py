"""Access rules of a proxy: credentials and source networks, checked without I/O."""

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
"""The most admissions remembered for one proxy, and the longest credentials that are remembered, in bytes."""


@dataclass(frozen=True, slots=True)
class Access:
    """The access rules of one proxy. If it has both credentials and sources, a client must match both.

    A proxy with neither lets nobody in.
    """

    credentials: bytes | None = field(repr=False)
    """`name:password`; None where no login is required."""
    sources: tuple[tuple[int, int, frozenset[int]], ...]
    """(IP version, host bits, network numbers), so that a lookup costs one set membership per prefix length."""
    sessions: bool = False
    """Whether `-session-ID` may follow the user name."""
    others: tuple[bytes, ...] = field(default=(), repr=False)
    """Further credentials, as good as `credentials`."""

    @property
    def known(self) -> tuple[bytes, ...]:
        """All credentials that are accepted, the proxy's own first; empty where none are required."""
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
    """Build access rules. Raises ValueError for an invalid network. An entry of `others` without a name and a password
    is left out, so that it lets nobody in."""
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


def networks(rules: Access) -> Iterator[str]:
    """The source networks, in the form that `access` takes."""
    for version, host_bits, numbers in rules.sources:
        kind = IPv4Network if version == 4 else IPv6Network
        for number in sorted(numbers):
            first = number << host_bits
            yield str(kind((first, (32 if version == 4 else 128) - host_bits)))


def allows_source(rules: Access, source: str) -> bool:
    """Whether clients at this address may connect at all; an IPv4-mapped IPv6 address counts as IPv4."""
    if not rules.sources:
        return rules.credentials is not None
    version, number = _as_number(source)
    return any(version == kind and number >> bits in numbers for kind, bits, numbers in rules.sources)


def allows_credentials(rules: Access, presented: bytes | None) -> bool:
    """Whether these credentials, `name:password`, are accepted."""
    return rules.credentials is None or (presented is not None and matching(rules, presented) is not None)


def matching(rules: Access, presented: bytes) -> bytes | None:
    """Find which of the proxy's credentials these are, apart from a session. Each is compared in constant time."""
    plain = _without_session(presented)[0] if rules.sessions else presented
    found: bytes | None = None
    for known in rules.known:
        if compare_digest(presented, known) | compare_digest(plain, known):
            found = known
    return found


def remembered_credentials(rules: Access, presented: bytes | None) -> bytes | None:
    """What to remember of accepted credentials: the matching ones of the proxy, if it has any, else what was
    presented."""
    return presented if presented is None else matching(rules, presented) or presented


def session_of(rules: Access, presented: bytes | None) -> bytes | None:
    """The session named in accepted credentials, or None."""
    if presented is None or not rules.sessions or presented in rules.known:
        return None
    return _without_session(presented)[1]


class Admission(NamedTuple):
    """The grounds on which a client was let in: the matching credentials of the proxy, if it has any, and the named
    session."""

    credentials: bytes | None
    session: bytes | None


class AccessGate:
    """Checks clients against one version of a proxy's access rules, and remembers whom it let in: most clients come
    again."""

    __slots__ = ("_rules", "known")

    def __init__(self, rules: Access) -> None:
        """`known` holds admissions by source and presented credentials."""
        self._rules = rules
        self.known: dict[tuple[str, bytes | None], Admission] = {}

    def admission(self, source: str, presented: bytes | None) -> Admission | None:
        """Let a client in, or return None if its source or its credentials are not allowed."""
        known = self.known.get((source, presented))
        if known is not None or not allows(self._rules, source, presented):
            return known
        known = Admission(remembered_credentials(self._rules, presented), session_of(self._rules, presented))
        if len(self.known) >= _REMEMBERED:
            self.known.clear()
        if presented is None or len(presented) <= _MEMORABLE:
            self.known[source, presented] = known
        return known


def allows(rules: Access, source: str, presented: bytes | None) -> bool:
    """Whether a connection from this source with these credentials satisfies the rules."""
    return allows_credentials(rules, presented) and allows_source(rules, source)


def _credentials(username: str | None, password: str | None) -> bytes | None:
    named = username is not None or password is not None
    return f"{username or ''}:{password or ''}".encode() if named else None


def _without_session(presented: bytes) -> tuple[bytes, bytes | None]:
    """Split `name-session-ID:password` into credentials without the session, and the session's ID."""
    form = _SESSION.fullmatch(presented)
    return (form[1] + form[3], form[2]) if form else (presented, None)


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


@lru_cache(maxsize=4096)
def _as_number(source: str) -> tuple[int, int]:
    """(IP version, address as a number); version 0 if this is not an address."""
    try:
        address = ip_address(source.partition("%")[0])
    except ValueError:
        return 0, 0
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.version, int(address)
