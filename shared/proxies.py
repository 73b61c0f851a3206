"""The values that master and node both compare: ids, versions, records and the digest over them."""

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
Revision = NewType("Revision", int)

Protocol = Literal["http", "socks5", "mixed"]
EngineName = Literal["builtin", "3proxy"]
ExitMode = Literal["default", "address", "ipv6_random", "ipv6_session"]
TrafficPeriod = Literal["total", "day", "month"]

MAX_BIGINT = 2**63 - 1
"""Ids, versions and revisions are PostgreSQL bigints."""

CREDENTIAL_MAX = 120
"""Longest user name or password in bytes: SOCKS5 carries 255 (RFC 1929), 3proxy's configuration parser fails past
about 120."""

USERNAME_CHARACTERS = r"[A-Za-z0-9!$%&'()+./<=>?@\[\]^_`{|}~-]"
"""Printable ASCII without space, control characters, colon (ends the name in HTTP Basic, RFC 7617), comma, asterisk,
quotation mark, backslash, number sign and semicolon (a list, everybody, quoting and comments in 3proxy)."""

PASSWORD_CHARACTERS = r"[!#-\[\]-~]"  # noqa: S105 (a pattern)
"""Printable ASCII without space, quotation mark and backslash."""


def carried_username(text: str) -> str:
    """The user name, if every proxy protocol can carry it. Raises ValueError with a reason for a person."""
    if not re.fullmatch(USERNAME_CHARACTERS + "+", text):
        raise ValueError("a user name has letters, digits and !$%&'()+./<=>?@[]^_`{|}~- only: no space, colon or comma")
    return text


def carried_password(text: str) -> str:
    """The password, if every proxy protocol can carry it. Raises ValueError with a reason for a person."""
    if not re.fullmatch(PASSWORD_CHARACTERS + "+", text):
        raise ValueError("a password has printable ASCII characters only: no space, quotation mark or backslash")
    return text


def canonical_network(text: str) -> str:
    """The network in its canonical spelling; a bare address is a network of one. Raises ValueError."""
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

    `address` is a local address of the node (mode `address`). The random modes draw out of `prefix`, an IPv6 network
    that is routed to the node, by a permutation under `key` (hexadecimal), so that whoever knows the key can tell
    whose an address was. `session_ttl_s` is how long a session keeps its address after its last connection; another
    `generation` forgets all sessions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    mode: ExitMode = "default"
    address: str | None = None
    prefix: CanonicalNetwork | None = None
    key: str | None = Field(default=None, repr=False, pattern=r"^[0-9a-f]{32}$")
    session_ttl_s: int | None = Field(default=None, ge=1, le=86_400)
    generation: int = Field(default=0, ge=0, le=MAX_BIGINT)


class Limits(BaseModel):
    """What a proxy may be used for at most; None is no limit.

    `connections` open at once, `bandwidth_bps` bits per second in each direction over all its connections,
    `traffic_bytes` both directions together in each UTC day or month, or ever (`total`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    connections: int | None = Field(default=None, ge=1, le=1_000_000)
    bandwidth_bps: int | None = Field(default=None, ge=8_000, le=10**12)
    traffic_bytes: int | None = Field(default=None, ge=1, le=MAX_BIGINT)
    traffic_period: TrafficPeriod = "total"
    expires_at: AwareDatetime | None = None


class Destinations(BaseModel):
    """Where a proxy's clients may connect to, besides what the node keeps private.

    Ports are numbers or ranges "from-to". With `allow_ports` only these are open; without, all but those that the node
    denies. `deny_hosts` are names, which cover their subdomains, addresses and networks. What is denied stays so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    deny_ports: Ports = ()
    allow_ports: Ports = ()
    deny_hosts: tuple[Host, ...] = ()


class FurtherPort(BaseModel):
    """A further port that a proxy listens on, with further credentials that it accepts, for as long as it is rotated.

    Any of a proxy's credentials are good on any of its ports.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    port: Port
    username: Username | None = None
    password: Password | None = Field(default=None, repr=False)


class ProxyRecord(BaseModel):
    """Everything that a node must know of one proxy at one version.

    `content` is the master's checksum of the record (a signed 64-bit number). To a node it is opaque: it keeps the
    number and sums it up, so that two records of the same id and version can still be told apart.
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

    @property
    def ports(self) -> tuple[int, ...]:
        """All that it listens on, its own first."""
        return tuple(dict.fromkeys((self.port, *(each.port for each in self.also))))


def digest(pairs: Iterable[tuple[int, int]]) -> str:
    """Order-free checksum of (id, version) pairs: 16 hexadecimal digits.

    The sum modulo 2^64 of the first eight bytes of md5("id:version"); PostgreSQL computes the same figure where the
    rows are, and a change of one pair needs no second look at the others.
    """
    total = sum(pair_hash(id_, version) for id_, version in pairs)
    return f"{total % 2**64:016x}"


def pair_hash(id_: int, version: int) -> int:
    """One pair's summand of the digest."""
    return int.from_bytes(hashlib.md5(b"%d:%d" % (id_, version), usedforsecurity=False).digest()[:8])


def content_digest(contents: Iterable[int]) -> str:
    """Order-free checksum over the `content` of records: 16 hexadecimal digits."""
    return f"{sum(contents) % 2**64:016x}"
