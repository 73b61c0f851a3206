"""Writes the 3proxy configuration of one proxy, as pure text, following 3proxy.cfg(5)."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

from node.engine.interface import EngineError
from node.engine.three_proxy.destinations import MAPPED, OPEN, DenyRules, denied_targets, inside
from shared.engine.limits import unsupported_of
from shared.proxies import Exit, Limits, ProxyRecord

SERVICES = {"http": "proxy", "socks5": "socks", "mixed": "auto"}
"""`auto` exists since 0.9.5; an older 3proxy rejects the whole file with an error."""

MAX_CONNECTIONS = 20_000
"""Beyond `maxconn` (500 by default, 100 before 1.0) a client hangs without an answer; the limit of open files should
apply first."""

STACK_BYTES = 256 * 1024
"""Added to the 48-64 KiB of a client's thread, because plug-ins of the system resolver (NSS) need more. Pages are
allocated only when used."""

TIMEOUTS_S = (10, 30, 30, 60, 180, 86_400, 15, 60, 15, 5)
"""Seconds, in the order of the manual. They are longer than the defaults: a handshake's byte may take 10 s (1), its
first 30 s (5), and an idle tunnel lives for a day (half an hour). The eleventh, LINGER, does not exist before 1.0 and
keeps its default."""

LOG_FORMAT = "L=%E %I %O %1-1T"
"""A result code, bytes to the client and to the origin, and the first word of the event: in a client's line the
requested URL follows it."""

LOG_EVERY_BYTES = 256 * 1024
"""A connection that moves this much in one direction is logged before it ends: the most that a killed process
forgets."""

RATE_STEPS = 64 * 8 * 1_000_000

READY = "Accepting"

OFFERED = "HTTP,HTTPS,CONNECT"
"""The allowed commands: neither BIND, nor UDP, nor FTP."""


def configuration(
    proxy: ProxyRecord,
    *,
    listen: str,
    nservers: Sequence[str] = (),
    guard: DenyRules = OPEN,
    deny_ports: Sequence[int | str] = (),
) -> str:
    """The complete file. Users and rules precede the service line, which uses the ones above it.

    Raises EngineError for a proxy that would serve everybody, or that needs features that 3proxy does not have.
    """
    refuse_open(proxy)
    for reason in unsupported_of("3proxy", proxy):
        raise EngineError(reason)
    return "".join(f"{line}\n" for line in directives(proxy, listen, nservers, guard, deny_ports))


def refuse_open(proxy: ProxyRecord) -> None:
    if (proxy.username is None) != (proxy.password is None):
        raise EngineError("a user name and a password are needed together")
    if proxy.username is None and not proxy.allow_ips:
        raise EngineError("neither a user name nor allowed sources: it would serve nobody")


def directives(
    proxy: ProxyRecord, listen: str, nservers: Sequence[str], guard: DenyRules, deny_ports: Sequence[int | str]
) -> Iterator[str]:
    yield "log"
    yield f"logformat {quoted(LOG_FORMAT)}"
    yield f"logdump {LOG_EVERY_BYTES} {LOG_EVERY_BYTES}"
    yield f"maxconn {MAX_CONNECTIONS}"
    yield f"stacksize {STACK_BYTES}"
    yield f"timeouts {' '.join(map(str, TIMEOUTS_S))}"
    yield from (f"nserver {address}" for address in nservers)
    if nservers:
        yield "nscache 65536"
    yield from limits(proxy.limits)
    yield from access(proxy, guard, deny_ports, mapped=":" in listen)
    yield service(proxy, listen)


def limits(values: Limits) -> Iterator[str]:
    """Limits for all clients together.

    With a period of 0 s, `connlim` limits concurrent connections; unlike `maxconn`, it notifies the client, and does
    not count refused ones. Bandwidth is held on average: a connection moves up to 64 KiB before it waits.
    """
    if values.connections is not None:
        yield f"connlim {values.connections} 0 *"
    if values.bandwidth_bps is not None:
        rate = exact_rate(values.bandwidth_bps)
        yield f"bandlimin {rate} *"
        yield f"bandlimout {rate} *"


def exact_rate(bandwidth_bps: int) -> int:
    """The nearest rate at which 64 bytes take whole microseconds, to which 3proxy rounds down silently."""
    return RATE_STEPS // round(RATE_STEPS / bandwidth_bps)


def access(proxy: ProxyRecord, guard: DenyRules, deny_ports: Sequence[int | str], *, mapped: bool) -> Iterator[str]:
    """Access rules. One network a line, because a line holds no more than 64 KiB.

    A client that no rule matches is refused with another result code than one that a rule denies; this distinguishes
    refused sources from refused destinations.
    """
    user = "*"
    if proxy.username is None:
        yield "auth iponly"
    else:
        yield "auth strong"
        yield from (f"users {quoted(f'{name}:CL:{password}')}" for name, password in logins(proxy))
        user = quoted(",".join(name for name, _ in logins(proxy)))
    clients = [f"{user} {source}" for source in sources(proxy.allow_ips, mapped=mapped)]
    yield from (f"deny * * {target}" for target in denied_targets(proxy.destinations, deny_ports))
    for allowed, network in guard.rules():
        yield from (f"allow {client} {network} * {OFFERED}" for client in clients if allowed)
        if not allowed:
            yield f"deny * * {network}"
    yield from (f"allow {client} * * {OFFERED}" for client in clients)


def logins(proxy: ProxyRecord) -> list[tuple[str, str]]:
    """(user name, password) of all logins, sorted, so that exchanging the proxy's own with a further one changes
    nothing."""
    both = ((each.username, each.password) for each in (proxy, *proxy.also))
    return sorted({(name, password) for name, password in both if name is not None and password is not None})


def sources(networks: Sequence[str], *, mapped: bool) -> Iterator[str]:
    """The networks as 3proxy matches them: on an IPv6 socket, an IPv4 client has an IPv4-mapped address (RFC 4291)."""
    if not networks:
        yield "*"
    for network in map(ip_network, networks):
        yield str(network)
        if mapped and isinstance(network, IPv4Network):
            yield str(inside(MAPPED, network))


def service(proxy: ProxyRecord, listen: str) -> str:
    """The service line. -a hides the client from the origin; -u2 makes SOCKS require a password."""
    login = " -u2" if proxy.username is not None else ""
    return (
        f"{SERVICES[proxy.protocol]} {exit_options(proxy.exit)} -a{login}"
        f" -ocTCP_NODELAY,SO_KEEPALIVE -osTCP_NODELAY,SO_KEEPALIVE -i{listen} -p{proxy.port}"
    )


def exit_options(exit_: Exit) -> str:
    """Prefer IPv4 destinations and reach IPv6 ones too; from a given address, only those of its family."""
    address = exit_address(exit_)
    return "-46" if address is None else f"-{address.version} -e{address}"


def exit_address(exit_: Exit) -> IPv4Address | IPv6Address | None:
    """The exit address; None if the host chooses. Raises EngineError if it is not an address."""
    if exit_.mode != "address":
        return None
    try:
        address = ip_address(exit_.address or "")
    except ValueError:
        raise EngineError("the exit has no address") from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise EngineError("3proxy cannot leave from an address with a zone: use the builtin engine")
    return address


def quoted(text: str) -> str:
    """Quote an argument, in which `$` (an included file) is taken literally. Quotation marks are doubled, as the manual
    requires."""
    return '"' + text.replace('"', '""') + '"'
