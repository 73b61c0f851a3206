"""A proxy's settings as a worker sees them, and their plain JSON form on the control socket."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Literal, cast

from node.engine.builtin.policy.access import Access, access, networks

ProxyProtocol = Literal["http", "socks5", "mixed"]
PROTOCOLS: tuple[ProxyProtocol, ...] = ("http", "socks5", "mixed")
FIELDS = frozenset(
    {
        "id",
        "version",
        "protocol",
        "port",
        "username",
        "password",
        "allow_ips",
        "exit",
        "limits",
        "also",
        "destinations",
        "tls",
    }
)
"""The fields of a ProxyRecord that are sent to a worker."""
EXIT_FIELDS = frozenset({"mode", "address", "prefix", "key", "session_ttl_s", "generation"})
ALSO_FIELDS = frozenset({"port", "username", "password"})
DESTINATION_FIELDS = frozenset({"deny_ports", "allow_ports", "deny_hosts"})
LIMIT_FIELDS = frozenset({"connections", "bandwidth_bps", "traffic_bytes", "traffic_period", "expires_at"})


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """The exit through which connections leave this host; see shared.proxies.Exit."""

    mode: str = "default"
    address: str | None = None
    prefix: str | None = None
    key: bytes | None = field(default=None, repr=False)
    session_ttl_s: int | None = None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class LimitsRecord:
    """The limits of a proxy; see shared.proxies.Limits. `expires_at` is in seconds since 1970."""

    connections: int | None = None
    bandwidth_bps: int | None = None
    traffic_bytes: int | None = None
    traffic_period: str = "total"
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class DestinationsRecord:
    """Destinations closed to the proxy's clients; see shared.proxies.Destinations."""

    deny_ports: tuple[int | str, ...] = ()
    allow_ports: tuple[int | str, ...] = ()
    deny_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PortRecord:
    """An additional port with credentials of its own; see shared.proxies.Also."""

    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Record:
    """One version of one proxy."""

    id: int
    version: int
    protocol: ProxyProtocol
    port: int
    access: Access = field(repr=False)
    exit: ExitRecord = ExitRecord()
    limits: LimitsRecord = LimitsRecord()
    also: tuple[PortRecord, ...] = ()
    destinations: DestinationsRecord = DestinationsRecord()
    tls: bool = False

    @property
    def ports(self) -> tuple[int, ...]:
        """All ports that it listens on, its own first."""
        if not self.also:
            return (self.port,)
        return tuple(dict.fromkeys((self.port, *(each.port for each in self.also))))


_USUAL_EXIT, _UNLIMITED, _ANYWHERE = ExitRecord(), LimitsRecord(), DestinationsRecord()


def read_record(fields: Mapping[str, object]) -> Record:
    """Parse a record. Raises ValueError, without the values, if it is invalid.

    `also`, `destinations` and `tls` are left out where they have their defaults, and by workers of earlier releases.
    """
    if len(fields) != len(FIELDS):
        fields = {"also": [], "destinations": {}, "tls": False, **fields}
    if fields.keys() != FIELDS:
        raise ValueError("a record has unexpected fields")
    exit_ = _exit(_members(fields, "exit", EXIT_FIELDS)) if fields["exit"] != {} else _USUAL_EXIT
    also = _also(fields["also"]) if fields["also"] != [] else ()
    return Record(
        id=_number(fields, "id"),
        version=_number(fields, "version"),
        protocol=_protocol(fields["protocol"]),
        port=_number(fields, "port"),
        access=access(
            _text(fields, "username"),
            _text(fields, "password"),
            _texts(fields, "allow_ips") if fields["allow_ips"] != [] else (),
            sessions=exit_.mode == "ipv6_session",
            others=[(each.username, each.password) for each in also] if also else (),
        ),
        exit=exit_,
        limits=_limits(_members(fields, "limits", LIMIT_FIELDS)) if fields["limits"] != {} else _UNLIMITED,
        also=also,
        destinations=_destinations(fields["destinations"]) if fields["destinations"] != {} else _ANYWHERE,
        tls=_flag(fields, "tls"),
    )


def fields_of(record: Record) -> dict[str, object]:
    """Format a record, so that `read_record` can parse it."""
    username, colon, password = (record.access.credentials or b"").decode().partition(":")
    fields: dict[str, object] = {
        "id": record.id,
        "version": record.version,
        "protocol": record.protocol,
        "port": record.port,
        "username": username if colon else None,
        "password": password if colon else None,
        "allow_ips": list(networks(record.access)),
        "exit": asdict(record.exit) | {"key": record.exit.key.hex() if record.exit.key is not None else None},
        "limits": asdict(record.limits) | {"expires_at": _moment(record.limits.expires_at)},
        "also": [asdict(each) for each in record.also],
        "destinations": {name: list(values) for name, values in asdict(record.destinations).items() if values},
    }
    return {**fields, "tls": True} if record.tls else fields


def _moment(seconds: float | None) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds is not None else None


def _also(fields: object) -> tuple[PortRecord, ...]:
    if not isinstance(fields, list):
        raise ValueError("also is not a list")
    found = [_members({"also": each}, "also", ALSO_FIELDS) for each in cast("list[object]", fields)]
    return tuple(PortRecord(_number(each, "port"), _text(each, "username"), _text(each, "password")) for each in found)


def _destinations(fields: object) -> DestinationsRecord:
    values = _members({"destinations": fields}, "destinations", DESTINATION_FIELDS)
    given = {name: value for name, value in values.items() if value is not None}
    return DestinationsRecord(
        deny_ports=_ports(given, "deny_ports"),
        allow_ports=_ports(given, "allow_ports"),
        deny_hosts=tuple(_texts(given, "deny_hosts")) if "deny_hosts" in given else (),
    )


def _ports(fields: Mapping[str, object], name: str) -> tuple[int | str, ...]:
    value = fields.get(name, [])
    if not isinstance(value, list) or not all(type(each) in (int, str) for each in cast("list[object]", value)):
        raise ValueError(f"{name} is not a list of ports")
    return tuple(cast("list[int | str]", value))


def _exit(fields: Mapping[str, object]) -> ExitRecord:
    key = _text(fields, "key")
    return ExitRecord(
        mode=_text(fields, "mode") or "default",
        address=_text(fields, "address"),
        prefix=_text(fields, "prefix"),
        key=bytes.fromhex(key) if key is not None else None,
        session_ttl_s=_some_number(fields, "session_ttl_s"),
        generation=_some_number(fields, "generation", least=0) or 0,
    )


def _limits(fields: Mapping[str, object]) -> LimitsRecord:
    expires_at = _text(fields, "expires_at")
    return LimitsRecord(
        connections=_some_number(fields, "connections"),
        bandwidth_bps=_some_number(fields, "bandwidth_bps"),
        traffic_bytes=_some_number(fields, "traffic_bytes"),
        traffic_period=_text(fields, "traffic_period") or "total",
        expires_at=datetime.fromisoformat(expires_at).timestamp() if expires_at is not None else None,
    )


def _members(fields: Mapping[str, object], name: str, allowed: frozenset[str]) -> Mapping[str, object]:
    """The members of an object; omitted members are None."""
    value = fields[name]
    if not isinstance(value, dict) or not allowed.issuperset(cast("dict[object, object]", value)):
        raise ValueError(f"{name} has unexpected fields")
    return {**dict.fromkeys(allowed), **cast("dict[str, object]", value)}


def _some_number(fields: Mapping[str, object], name: str, *, least: int = 1) -> int | None:
    return None if fields[name] is None else _number(fields, name, least=least)


def _protocol(value: object) -> ProxyProtocol:
    for protocol in PROTOCOLS:
        if value == protocol:
            return protocol
    raise ValueError("unknown protocol")


def _number(fields: Mapping[str, object], name: str, *, least: int = 1) -> int:
    value = fields[name]
    if type(value) is not int or value < least:
        raise ValueError(f"{name} is not an integer of at least {least}")
    return value


def _flag(fields: Mapping[str, object], name: str) -> bool:
    value = fields[name]
    if type(value) is not bool:
        raise ValueError(f"{name} is not true or false")
    return value


def _text(fields: Mapping[str, object], name: str) -> str | None:
    value = fields[name]
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is not a string")
    return value


def _texts(fields: Mapping[str, object], name: str) -> list[str]:
    value = fields[name]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in cast("list[object]", value)):
        raise ValueError(f"{name} is not a list of strings")
    return cast("list[str]", value)
