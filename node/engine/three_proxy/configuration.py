"""What 3proxy is told about one proxy: pure text, after 3proxy.cfg(5)."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

from node.engine.interface import EngineError
from node.engine.three_proxy.destinations import MAPPED, OPEN, DenyRules, denied_targets, inside
from shared.engine_limits import unsupported_of
from shared.proxies import Exit, Limits, ProxyRecord

SERVICES = {"http": "proxy", "socks5": "socks", "mixed": "auto"}
"""`auto` is known since 0.9.5; an older 3proxy refuses the whole file and says so."""

MAX_CONNECTIONS = 20_000
"""Past `maxconn` (500 by default, 100 before 1.0) a client hangs without an answer: the limit of open files is to bind
first."""

STACK_BYTES = 256 * 1024
"""Added to the 48-64 KiB of a client's thread: the system resolver's plug-ins (NSS) need more than that. Pages are
taken only when touched."""

TIMEOUTS_S = (10, 30, 30, 60, 180, 86_400, 15, 60, 15, 5)
"""In the manual's order. Longer than the defaults: a handshake's byte may take 10 s (1), its first 30 (5), and an idle
tunnel lives for a day (half an hour). The eleventh, LINGER, is unknown before 1.0 and keeps its default."""

LOG_FORMAT = "L=%E %I %O %1-1T"
"""A result code, bytes towards the client and towards the origin, and the event's first word: what follows it in a
client's line is the URL that it asked for."""

LOG_EVERY_BYTES = 256 * 1024
"""A connection that moved so much in one direction is logged while it goes on: all that a killed process forgets."""

RATE_STEPS = 64 * 8 * 1_000_000

READY = "Accepting"

OFFERED = "HTTP,HTTPS,CONNECT"
"""Neither BIND, nor UDP, nor FTP."""


def configuration(
    proxy: ProxyRecord,
    *,
    listen: str,
    nservers: Sequence[str] = (),
    guard: DenyRules = OPEN,
    deny_ports: Sequence[int | str] = (),
) -> str:
    """The whole file. Users and rules stand before the service line, which takes a snapshot of them.

    Raises EngineError for a proxy that would serve
    everybody or that asks for what 3proxy cannot do.
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


def limits(asked: Limits) -> Iterator[str]:
    """For all clients together.

    With a period of 0 s `connlim` limits those that are served at once; unlike `maxconn` it tells a client so, and
    counts none that did not get in. Bandwidth is held on the average: a connection moves up to 64 KiB before it waits.
    """
    if asked.connections is not None:
        yield f"connlim {asked.connections} 0 *"
    if asked.bandwidth_bps is not None:
        rate = exact_rate(asked.bandwidth_bps)
        yield f"bandlimin {rate} *"
        yield f"bandlimout {rate} *"


def exact_rate(bandwidth_bps: int) -> int:
    """The nearest rate at which 64 bytes take whole microseconds, to which 3proxy rounds down without asking."""
    return RATE_STEPS // round(RATE_STEPS / bandwidth_bps)


def access(proxy: ProxyRecord, guard: DenyRules, deny_ports: Sequence[int | str], *, mapped: bool) -> Iterator[str]:
    """Who gets in, and where to. One network a line, for a line holds no more than 64 KiB.

    Whom no rule names is refused, with another result code than by a rule: it tells sources from destinations.
    """
    user = "*"
    if proxy.username is None:
        yield "auth iponly"
    else:
        yield "auth strong"
        yield from (f"users {quoted(f'{name}:CL:{password}')}" for name, password in logins(proxy))
        user = quoted(",".join(name for name, _ in logins(proxy)))
    clients = [f"{user} {source}" for source in sources(proxy.allow_ips, mapped=mapped)]
    yield from (f"deny * * {place}" for place in denied_targets(proxy.destinations, deny_ports))
    for allowed, network in guard.rules():
        yield from (f"allow {client} {network} * {OFFERED}" for client in clients if allowed)
        if not allowed:
            yield f"deny * * {network}"
    yield from (f"allow {client} * * {OFFERED}" for client in clients)


def logins(proxy: ProxyRecord) -> list[tuple[str, str]]:
    """(user name, password), whichever are the proxy's own: that these change places changes nothing."""
    both = ((each.username, each.password) for each in (proxy, *proxy.also))
    return sorted({(name, password) for name, password in both if name is not None and password is not None})


def sources(networks: Sequence[str], *, mapped: bool) -> Iterator[str]:
    """The networks as 3proxy matches them: on an IPv6 socket an IPv4 client has an IPv4-mapped address (RFC 4291)."""
    if not networks:
        yield "*"
    for network in map(ip_network, networks):
        yield str(network)
        if mapped and isinstance(network, IPv4Network):
            yield str(inside(MAPPED, network))


def service(proxy: ProxyRecord, listen: str) -> str:
    """-a tells the origin nothing of the client; -u2 makes SOCKS ask for a password."""
    asked = " -u2" if proxy.username is not None else ""
    return (
        f"{SERVICES[proxy.protocol]} {exit_options(proxy.exit)} -a{asked}"
        f" -ocTCP_NODELAY,SO_KEEPALIVE -osTCP_NODELAY,SO_KEEPALIVE -i{listen} -p{proxy.port}"
    )


def exit_options(exit_: Exit) -> str:
    """IPv4 destinations are preferred, IPv6 ones reached too; out of one address only those of its family."""
    address = exit_address(exit_)
    return "-46" if address is None else f"-{address.version} -e{address}"


def exit_address(exit_: Exit) -> IPv4Address | IPv6Address | None:
    """None for whatever address the host chooses. Raises EngineError when it is no address."""
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
    """One argument, `$` (an included file) taken literally. Quotation marks are doubled, as the manual demands."""
    return '"' + text.replace('"', '""') + '"'
