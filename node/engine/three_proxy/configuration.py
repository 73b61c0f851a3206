"""What 3proxy is told about one proxy: pure text, after 3proxy.cfg(5)."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv6Network, ip_network

from node.engine import EngineError
from shared.engines import unsupported
from shared.proxies import ProxyRecord

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

LOG_FORMAT = "L%E %1-1T %3-9T"
"""A result code and the event without its second word, which in a client's line is the URL that it asked for."""

READY = "Accepting"

V4_MAPPED = int(IPv6Network("::ffff:0:0/96").network_address)


def configuration(proxy: ProxyRecord, *, listen: str, nservers: Sequence[str] = ()) -> str:
    """The whole file. Users and rules stand before the service line, which takes a snapshot of them.

    Every rule is followed by `nolog`: what it decides is not logged. Raises EngineError for a proxy that would serve
    everybody or that asks for what 3proxy cannot do.
    """
    refuse_open(proxy)
    for _, reason in unsupported("3proxy", proxy.exit, proxy.limits):
        raise EngineError(reason)
    return "".join(f"{line}\n" for line in directives(proxy, listen, nservers))


def refuse_open(proxy: ProxyRecord) -> None:
    if (proxy.username is None) != (proxy.password is None):
        raise EngineError("a user name and a password are needed together")
    if proxy.username is None and not proxy.allow_ips:
        raise EngineError("neither a user name nor allowed sources: it would serve nobody")


def directives(proxy: ProxyRecord, listen: str, nservers: Sequence[str]) -> Iterator[str]:
    yield "log"
    yield f"logformat {quoted(LOG_FORMAT)}"
    yield f"maxconn {MAX_CONNECTIONS}"
    yield f"stacksize {STACK_BYTES}"
    yield f"timeouts {' '.join(map(str, TIMEOUTS_S))}"
    yield from (f"nserver {address}" for address in nservers)
    if nservers:
        yield "nscache 65536"
    yield from access(proxy, mapped=":" in listen)
    yield service(proxy, listen)


def access(proxy: ProxyRecord, *, mapped: bool) -> Iterator[str]:
    """Who gets in. One source a line, for a line holds no more than 64 KiB; BIND, UDP and FTP are not offered."""
    user = "*"
    if proxy.username is None:
        yield "auth iponly"
    else:
        yield "auth strong"
        yield f"users {quoted(f'{proxy.username}:CL:{proxy.password}')}"
        user = quoted(proxy.username)
    for source in sources(proxy.allow_ips, mapped=mapped):
        yield f"allow {user} {source} * * HTTP,HTTPS,CONNECT"
        yield "nolog"
    yield "deny *"
    yield "nolog"


def sources(networks: Sequence[str], *, mapped: bool) -> Iterator[str]:
    """The networks as 3proxy matches them: on an IPv6 socket an IPv4 client has an IPv4-mapped address (RFC 4291)."""
    if not networks:
        yield "*"
    for network in map(ip_network, networks):
        yield str(network)
        if mapped and network.version == 4:
            yield str(IPv6Network((V4_MAPPED + int(network.network_address), 96 + network.prefixlen)))


def service(proxy: ProxyRecord, listen: str) -> str:
    """IPv4 destinations are preferred, IPv6 ones reached too; -a tells the origin nothing of the client; -u2 makes
    SOCKS ask for a password."""
    asked = " -u2" if proxy.username is not None else ""
    return (
        f"{SERVICES[proxy.protocol]} -46 -a{asked} -ocTCP_NODELAY,SO_KEEPALIVE -osTCP_NODELAY,SO_KEEPALIVE"
        f" -i{listen} -p{proxy.port}"
    )


def quoted(text: str) -> str:
    """One argument, `$` (an included file) taken literally. Quotation marks are doubled, as the manual demands."""
    return '"' + text.replace('"', '""') + '"'
