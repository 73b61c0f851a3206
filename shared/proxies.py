"""Values that master and nodes compare: ids, versions, records and the digests over them. Pure."""

import hashlib
import re
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Annotated, Literal, NewType

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from shared.destinations import canonical_host, canonical_ports

NodeId = NewType("NodeId", int)
ProxyId = NewType("ProxyId", int)
Version = NewType("Version", int)


Protocol = Literal["http", "socks5", "mixed"]
EngineName = Literal["builtin", "3proxy"]
ExitMode = Literal["default", "address", "ipv6_random", "ipv6_session"]
TrafficPeriod = Literal["total", "day", "month"]

MAX_BIGINT = 2**63 - 1
"""Highest id, version and revision: they are PostgreSQL bigints."""

CREDENTIAL_MAX = 120
"""Longest user name or password in bytes: SOCKS5 carries 255 (RFC 1929), but 3proxy's configuration parser fails above
about 120."""

USERNAME_CHARACTERS = r"[A-Za-z0-9!$%&'()+./<=>?@\[\]^_`{|}~-]"
"""Printable ASCII without space, colon (ends the name in HTTP Basic, RFC 7617), and without comma, asterisk, quotation
mark, backslash, number sign and semicolon (lists, "everybody", quoting and comments in 3proxy)."""

PASSWORD_CHARACTERS = r"[!#-\[\]-~]"  # noqa: S105 (a pattern)
"""Printable ASCII without space, quotation mark and backslash."""


def carried_username(text: str) -> str:
    """Check that every proxy protocol can carry a user name. Raises ValueError with a reason for a person."""
    if not re.fullmatch(USERNAME_CHARACTERS + "+", text):
        raise ValueError("must have only letters, digits and !$%&'()+./<=>?@[]^_`{|}~- (no space, colon or comma)")
    return text


def carried_password(text: str) -> str:
    """Check that every proxy protocol can carry a password. Raises ValueError with a reason for a person."""
    if not re.fullmatch(PASSWORD_CHARACTERS + "+", text):
        raise ValueError("must have only printable ASCII characters (no space, quotation mark or backslash)")
    return text


def canonical_network(text: str) -> str:
    """Spell a network canonically; a bare address is a network of one. Raises ValueError."""
    return str(ip_network(text, strict=False))


Id = Annotated[int, Field(ge=1, le=MAX_BIGINT)]
Port = Annotated[int, Field(ge=1, le=65535)]
Credential = Annotated[str, Field(min_length=1, max_length=CREDENTIAL_MAX)]
Username = Annotated[
    Credential,
    AfterValidator(carried_username),
    Field(json_schema_extra={"pattern": f"^{USERNAME_CHARACTERS}+$"}),
]
Password = Annotated[
    Credential,
    AfterValidator(carried_password),
    Field(json_schema_extra={"pattern": f"^{PASSWORD_CHARACTERS}+$"}),
]
CanonicalNetwork = Annotated[str, AfterValidator(canonical_network)]
Ports = Annotated[tuple[int | str, ...], AfterValidator(canonical_ports)]
Host = Annotated[str, AfterValidator(canonical_host)]


class Exit(BaseModel):
    """Where a proxy's connections leave the node.

    In mode `address` it is `address`, a local address of the node. The random modes draw addresses from `prefix`, an
    IPv6 network routed to the node, by a permutation under `key` (hexadecimal); see `shared.engine.permutation`. A
    session keeps its address for `session_ttl_s` after its last connection; a new `generation` ends all sessions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    mode: ExitMode = "default"
    address: str | None = None
    prefix: CanonicalNetwork | None = None
    key: str | None = Field(default=None, repr=False, pattern=r"^[0-9a-f]{32}$")
    session_ttl_s: int | None = Field(default=None, ge=1, le=86_400)
    generation: int = Field(default=0, ge=0, le=MAX_BIGINT)


class Limits(BaseModel):
    """Limits of a proxy; None means no limit.

    `connections` are those open at once. `bandwidth_bps` is in bits per second, in each direction, over all
    connections. `traffic_bytes` counts both directions in each UTC day or month, or ever (`total`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    connections: int | None = Field(default=None, ge=1, le=1_000_000)
    bandwidth_bps: int | None = Field(default=None, ge=8_000, le=10**12)
    traffic_bytes: int | None = Field(default=None, ge=1, le=MAX_BIGINT)
    traffic_period: TrafficPeriod = "total"
    expires_at: AwareDatetime | None = None


class Destinations(BaseModel):
    """Destinations that a proxy's clients may connect to, besides the destinations that the node always denies.

    Ports are numbers or ranges "from-to". With `allow_ports` only these are open; without it, all except the ports that
    the node denies. `deny_hosts` are names (with their subdomains), addresses and networks. Denials win.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    deny_ports: Ports = ()
    allow_ports: Ports = ()
    deny_hosts: tuple[Host, ...] = ()


class FurtherPort(BaseModel):
    """A second port and second credentials of a proxy during a rotation.

    All credentials of a proxy are valid on all its ports.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    port: Port
    username: Username | None = None
    password: Password | None = Field(default=None, repr=False)


class ProxyRecord(BaseModel):
    """Everything that a node must know about one version of a proxy.

    `content` is the master's checksum of the record, a signed 64-bit number that nodes only store and sum up. It
    differs between two records of the same id and version that differ.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: Id
    version: Id
    content: int = Field(ge=-(2**63), le=MAX_BIGINT)
    protocol: Protocol
    port: Port
    username: Username | None = None
    password: Password | None = Field(default=None, repr=False)
    allow_ips: tuple[CanonicalNetwork, ...] = ()
    engine: EngineName = "builtin"
    exit: Exit = Exit()
    limits: Limits = Limits()
    destinations: Destinations = Destinations()
    also: tuple[FurtherPort, ...] = Field(default=(), repr=False)
    tls: bool = False
    """Clients speak TLS; at a port of protocol `mixed` they may, which their first byte shows."""

    @property
    def ports(self) -> tuple[int, ...]:
        """All ports on which the proxy listens, its own first."""
        return tuple(dict.fromkeys((self.port, *(each.port for each in self.also))))


def digest(pairs: Iterable[tuple[int, int]]) -> str:
    """Compute the order-free checksum of (id, version) pairs, in 16 hexadecimal digits.

    It is the sum modulo 2^64 of the first eight bytes of md5("id:version"). PostgreSQL computes the same figure, and
    nodes sum the hashes that they keep, so that a change of one pair does not touch the others.
    """
    total = sum(pair_hash(id_, version) for id_, version in pairs)
    return f"{total % 2**64:016x}"


def pair_hash(id_: int, version: int) -> int:
    """Hash one pair, to be summed up in the digest."""
    return int.from_bytes(hashlib.md5(b"%d:%d" % (id_, version), usedforsecurity=False).digest()[:8])


def content_digest(contents: Iterable[int]) -> str:
    """Compute the order-free checksum over the `content` of records, in 16 hexadecimal digits."""
    return f"{sum(contents) % 2**64:016x}"
