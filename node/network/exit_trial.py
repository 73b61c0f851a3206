"""Trial of exits: checks by routes and bound sockets whether connections can leave this host. Sends no packet."""

import errno
import socket
from collections.abc import Collection, Mapping
from ipaddress import ip_address

import structlog

from node.engine.builtin.net.exits import bind_exit
from node.engine.builtin.net.own_addresses import own_networks
from node.network.exit_requirements import ExitProblem, ExitRequirement, not_bindable, not_routed, samples
from node.network.routes import Routes

log = structlog.get_logger()

SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""Errors that say nothing about an exit."""


def failed_exits(required: Collection[ExitRequirement]) -> Mapping[ExitRequirement, ExitProblem]:
    """Find the requirements that this host does not meet, and why. Blocks for some microseconds each.

    Raises OSError when a shortage of this process (descriptors, memory) prevents the trial.
    """
    if not required:
        return {}
    foreign, own = set[ExitRequirement](), list[str]()
    try:
        with Routes() as routes:
            foreign = {requirement for requirement in required if not is_routed_here(requirement, routes)}
            own = own_addresses(routes)
    except OSError as error:
        if error.errno in SHORTAGES:
            raise
        # A sandbox may withhold netlink; then binding is the only test.
        log.warning("exits.routes_unknown", error=type(error).__name__)
    failures = {requirement: not_routed(requirement, own) for requirement in foreign}
    for requirement in set(required) - foreign:
        if (error := bind_error(requirement)) is not None:
            missing = error.errno == errno.EADDRNOTAVAIL and not requirement.is_prefix
            failures[requirement] = (
                not_routed(requirement, own) if missing else not_bindable(requirement, error.strerror or str(error))
            )
    return failures


def is_routed_here(requirement: ExitRequirement, routes: Routes) -> bool:
    """Whether replies to the source reach this host. Only binding shows it for an address with a zone.

    Raises OSError.
    """
    if "%" in requirement.source:
        return True
    return all(not address.is_unspecified and routes.is_local(address) for address in samples(requirement.source))


def is_own(address: str) -> bool:
    """Whether this is an address of this host; true where the kernel does not answer."""
    literal = ip_address(address)
    if literal.is_unspecified or "%" in address:
        return True
    try:
        with Routes() as routes:
            return routes.is_local(literal)
    except OSError:
        return True


def bind_error(requirement: ExitRequirement) -> OSError | None:
    """Bind a socket as the engine would and return its error. Raises OSError when a shortage prevents the trial."""
    address = samples(requirement.source)[0]
    try:
        with socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM) as probe:
            # Only the built-in engine can leave by an IPv6 address that no interface has.
            if requirement.engine == "builtin" and "%" not in requirement.source:
                bind_exit(probe, str(address))
            else:
                probe.bind((str(address), 0))
    except OSError as error:
        if error.errno in SHORTAGES:
            raise
        return error
    return None


def own_addresses(routes: Routes) -> list[str]:
    """List the addresses usable as exits: no loopback, link-local, broadcast or anycast ones. Raises OSError."""
    try:
        single = [network.network_address for network in own_networks() if network.num_addresses == 1]
    except ValueError:
        return []
    usable = [each for each in single if not (each.is_loopback or each.is_link_local or each.is_multicast)]
    return [str(each) for each in sorted(usable, key=lambda each: (each.version, each)) if routes.is_local(each)]
