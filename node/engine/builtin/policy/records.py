"""What a worker knows of a proxy; the form in which it crosses the control socket is plain JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Literal, cast

from node.engine.builtin.policy.access import Access, access, networks

ProxyProtocol = Literal["http", "socks5", "mixed"]
PROTOCOLS: tuple[ProxyProtocol, ...] = ("http", "socks5", "mixed")
FIELDS = frozenset(
    {"id", "version", "protocol", "port", "username", "password", "allow_ips", "exit", "limits", "also", "destinations"}
)
"""The fields of a ProxyRecord that a worker is told."""
EXIT_FIELDS = frozenset({"mode", "address", "prefix", "key", "session_ttl_s", "generation"})
ALSO_FIELDS = frozenset({"port", "username", "password"})
DESTINATION_FIELDS = frozenset({"deny_ports", "allow_ports", "deny_hosts"})
LIMIT_FIELDS = frozenset({"connections", "bandwidth_bps", "traffic_bytes", "traffic_period", "expires_at"})


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """Where connections leave this host; see shared.proxies.Exit."""

    mode: str = "default"
    address: str | None = None
    prefix: str | None = None
    key: bytes | None = field(default=None, repr=False)
    session_ttl_s: int | None = None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class LimitsRecord:
    """What the proxy may be used for at most; see shared.proxies.Limits. `expires_at` is in seconds since 1970."""

    connections: int | None = None
    bandwidth_bps: int | None = None
    traffic_bytes: int | None = None
    traffic_period: str = "total"
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class DestinationsRecord:
    """What is closed to the proxy's clients; see shared.proxies.Destinations."""

    deny_ports: tuple[int | str, ...] = ()
    allow_ports: tuple[int | str, ...] = ()
    deny_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PortRecord:
    """A further port with further credentials; see shared.proxies.Also."""

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

    @property
    def ports(self) -> tuple[int, ...]:
        """All that it listens on, its own first."""
        if not self.also:
            return (self.port,)
        return tuple(dict.fromkeys((self.port, *(each.port for each in self.also))))


_USUAL_EXIT, _UNLIMITED, _ANYWHERE = ExitRecord(), LimitsRecord(), DestinationsRecord()


def read_record(told: Mapping[str, object]) -> Record:
    """Raises ValueError, without the values, for what is no record. `also` and `destinations` are left out
    where they are as usual, and by workers of an earlier age."""
    if len(told) != len(FIELDS):
        told = {"also": [], "destinations": {}, **told}
    if told.keys() != FIELDS:
        raise ValueError("a record has other fields")
    exit_ = _exit(_members(told, "exit", EXIT_FIELDS)) if told["exit"] != {} else _USUAL_EXIT
    also = _also(told["also"]) if told["also"] != [] else ()
    return Record(
        id=_number(told, "id"),
        version=_number(told, "version"),
        protocol=_protocol(told["protocol"]),
        port=_number(told, "port"),
        access=access(
            _text(told, "username"),
            _text(told, "password"),
            _texts(told, "allow_ips") if told["allow_ips"] != [] else (),
            sessions=exit_.mode == "ipv6_session",
            others=[(each.username, each.password) for each in also] if also else (),
        ),
        exit=exit_,
        limits=_limits(_members(told, "limits", LIMIT_FIELDS)) if told["limits"] != {} else _UNLIMITED,
        also=also,
        destinations=_destinations(told["destinations"]) if told["destinations"] != {} else _ANYWHERE,
    )


def tell_record(record: Record) -> dict[str, object]:
    """What read_record makes this record of."""
    username, colon, password = (record.access.credentials or b"").decode().partition(":")
    return {
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
        "destinations": {name: list(said) for name, said in asdict(record.destinations).items() if said},
    }


def _moment(seconds: float | None) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds is not None else None


def _also(told: object) -> tuple[PortRecord, ...]:
    if not isinstance(told, list):
        raise ValueError("also is not a list")
    found = [_members({"also": each}, "also", ALSO_FIELDS) for each in cast("list[object]", told)]
    return tuple(PortRecord(_number(each, "port"), _text(each, "username"), _text(each, "password")) for each in found)


def _destinations(told: object) -> DestinationsRecord:
    said = _members({"destinations": told}, "destinations", DESTINATION_FIELDS)
    given = {name: value for name, value in said.items() if value is not None}
    return DestinationsRecord(
        deny_ports=_ports(given, "deny_ports"),
        allow_ports=_ports(given, "allow_ports"),
        deny_hosts=tuple(_texts(given, "deny_hosts")) if "deny_hosts" in given else (),
    )


def _ports(told: Mapping[str, object], name: str) -> tuple[int | str, ...]:
    value = told.get(name, [])
    if not isinstance(value, list) or not all(type(each) in (int, str) for each in cast("list[object]", value)):
        raise ValueError(f"{name} is not a list of ports")
    return tuple(cast("list[int | str]", value))


def _exit(told: Mapping[str, object]) -> ExitRecord:
    key = _text(told, "key")
    return ExitRecord(
        mode=_text(told, "mode") or "default",
        address=_text(told, "address"),
        prefix=_text(told, "prefix"),
        key=bytes.fromhex(key) if key is not None else None,
        session_ttl_s=_some_number(told, "session_ttl_s"),
        generation=_some_number(told, "generation", least=0) or 0,
    )


def _limits(told: Mapping[str, object]) -> LimitsRecord:
    expires_at = _text(told, "expires_at")
    return LimitsRecord(
        connections=_some_number(told, "connections"),
        bandwidth_bps=_some_number(told, "bandwidth_bps"),
        traffic_bytes=_some_number(told, "traffic_bytes"),
        traffic_period=_text(told, "traffic_period") or "total",
        expires_at=datetime.fromisoformat(expires_at).timestamp() if expires_at is not None else None,
    )


def _members(told: Mapping[str, object], name: str, allowed: frozenset[str]) -> Mapping[str, object]:
    """Members that are left out are None."""
    value = told[name]
    if not isinstance(value, dict) or not allowed.issuperset(cast("dict[object, object]", value)):
        raise ValueError(f"{name} has other fields")
    return {**dict.fromkeys(allowed), **cast("dict[str, object]", value)}


def _some_number(told: Mapping[str, object], name: str, *, least: int = 1) -> int | None:
    return None if told[name] is None else _number(told, name, least=least)


def _protocol(value: object) -> ProxyProtocol:
    for protocol in PROTOCOLS:
        if value == protocol:
            return protocol
    raise ValueError("protocol is not known")


def _number(told: Mapping[str, object], name: str, *, least: int = 1) -> int:
    value = told[name]
    if type(value) is not int or value < least:
        raise ValueError(f"{name} is not a number of {least} or more")
    return value


def _text(told: Mapping[str, object], name: str) -> str | None:
    value = told[name]
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is not a text")
    return value


def _texts(told: Mapping[str, object], name: str) -> list[str]:
    value = told[name]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in cast("list[object]", value)):
        raise ValueError(f"{name} is not a list of texts")
    return cast("list[str]", value)
