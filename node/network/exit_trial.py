"""Tries whether connections can leave this host as exits demand. Asks the kernel and binds sockets; sends nothing."""

import errno
import socket
from collections.abc import Collection, Mapping
from ipaddress import ip_address

import structlog

from node.engine.builtin.net.exits import bind_exit
from node.engine.builtin.net.own_addresses import own_networks
from node.network.exit_requirements import Lack, Need, refused, samples, unrouted
from node.network.routes import Routes

log = structlog.get_logger()

SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""Nothing follows from these for an exit."""


def failed_exits(needs: Collection[Need]) -> Mapping[Need, Lack]:
    """Those that do not work, with the reason and the remedy. Blocks for some microseconds for each need.

    Raises OSError when this process lacks what it takes to try.
    """
    if not needs:
        return {}
    foreign, own = set[Need](), list[str]()
    try:
        with Routes() as routes:
            foreign = {need for need in needs if not is_here(need, routes)}
            own = own_addresses(routes)
    except OSError as error:
        if error.errno in SHORTAGES:
            raise
        # A sandbox may withhold netlink: what can be bound is all that can be known then.
        log.warning("exits.routes_unknown", error=type(error).__name__)
    failures = {need: unrouted(need, own) for need in foreign}
    for need in set(needs) - foreign:
        if (error := bind_error(need)) is not None:
            missing = error.errno == errno.EADDRNOTAVAIL and not need.is_prefix
            failures[need] = unrouted(need, own) if missing else refused(need, error.strerror or str(error))
    return failures


def is_here(need: Need, routes: Routes) -> bool:
    """Whether answers to the place come to this host. An address with a zone is left to the bind. Raises OSError."""
    if "%" in need.place:
        return True
    return all(not address.is_unspecified and routes.is_local(address) for address in samples(need.place))


def is_own(address: str) -> bool:
    """Whether this is an address of this host; true where the kernel does not tell."""
    place = ip_address(address)
    if place.is_unspecified or "%" in address:
        return True
    try:
        with Routes() as routes:
            return routes.is_local(place)
    except OSError:
        return True


def bind_error(need: Need) -> OSError | None:
    """What keeps the engine's sockets from being bound there. Raises OSError when a shortage leaves that open."""
    address = samples(need.place)[0]
    try:
        with socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM) as probe:
            # Only the built-in engine can leave by an IPv6 address that no interface has.
            if need.engine == "builtin" and "%" not in need.place:
                bind_exit(probe, str(address))
            else:
                probe.bind((str(address), 0))
    except OSError as error:
        if error.errno in SHORTAGES:
            raise
        return error
    return None


def own_addresses(routes: Routes) -> list[str]:
    """Addresses that a proxy could leave by: no loopback, link-local, broadcast or anycast ones. Raises OSError."""
    try:
        single = [network.network_address for network in own_networks() if network.num_addresses == 1]
    except ValueError:
        return []
    usable = [each for each in single if not (each.is_loopback or each.is_link_local or each.is_multicast)]
    return [str(each) for each in sorted(usable, key=lambda each: (each.version, each)) if routes.is_local(each)]
