"""Keeps the reactor's guard in step with the node's setting and with the addresses that the host has."""

import socket
from contextlib import suppress

from node.engine.builtin import log
from node.engine.builtin.net.own_addresses import open_notice, own_networks
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.policy.destination_guard import DestinationGuard
from shared.special_addresses import IpNetwork

_LOOK_S = 60.0
"""Between two looks at the routes that come without a notice, such as a whole prefix made local."""
_QUIET_S = 0.1
"""After a notice: addresses come and go in bursts."""


class GuardUpdates:
    """Without knowledge of the host's addresses (the kernel does not tell) everything else of the guard holds."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._opened: tuple[IpNetwork, ...] = ()
        self._protected: tuple[IpNetwork, ...] = ()
        self._reached_at: tuple[IpNetwork, ...] = ()
        self._own: frozenset[IpNetwork] = frozenset()
        self._silent = False
        self._notice = self._open_notice()
        self._timer = reactor.loop.call_soon(self._look)
        self._look()

    def open(self, opened: tuple[IpNetwork, ...]) -> None:
        """Destinations that are allowed though they are private to the node; new connections only."""
        self._opened = opened
        self._renew()

    def protect(self, protected: tuple[IpNetwork, ...]) -> None:
        """Destinations that are private to the node wherever they are."""
        self._protected = protected
        self._renew()

    def reached_at(self, addresses: tuple[IpNetwork, ...]) -> None:
        """Addresses of the node that the host does not have."""
        self._reached_at = addresses
        self._renew()

    def close(self) -> None:
        self._timer.cancel()
        if self._notice is not None:
            self._reactor.loop.remove_reader(self._notice.fileno())
            self._notice.close()

    def _look(self) -> None:
        self._later(_LOOK_S)
        try:
            own = own_networks()
        except (OSError, ValueError) as error:
            if not self._silent:
                log.write("guard.own_addresses_unknown", error=type(error).__name__)
            self._silent = True
            return
        self._silent = False
        if own != self._own:
            self._own = own
            self._renew()

    def _renew(self) -> None:
        self._reactor.may_connect = DestinationGuard(
            self._opened, (*self._own, *self._protected, *self._reached_at)
        ).permits

    def _later(self, seconds: float) -> None:
        self._timer.cancel()
        self._timer = self._reactor.loop.call_later(seconds, self._look)

    def _open_notice(self) -> socket.socket | None:
        try:
            notice = open_notice()
        except OSError as error:
            log.write("guard.no_notice_of_addresses", errno=error.errno)
            return None
        self._reactor.loop.add_reader(notice.fileno(), self._noticed, notice)
        return notice

    def _noticed(self, notice: socket.socket) -> None:
        # What it says does not matter, nor that some of it was lost (ENOBUFS): the table is read anew.
        with suppress(OSError):
            notice.recv(65536)
        self._later(_QUIET_S)
