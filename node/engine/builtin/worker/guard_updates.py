"""Keeps the destination guard up to date with the node's settings and the host's addresses."""

import socket
from contextlib import suppress

from node.engine.builtin import log
from node.engine.builtin.net.own_addresses import open_notice, own_networks
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.policy.destination_guard import DestinationGuard
from shared.special_addresses import IpNetwork

_REFRESH_S = 60.0
"""Time between two reads of the local routes: some changes cause no notice, such as a whole prefix that is made
local."""
_QUIET_S = 0.1
"""Time to wait after a notice: addresses are added and removed in bursts."""


class GuardUpdates:
    """Builds the reactor's guard. If the kernel does not report the host's addresses, all other rules still apply."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._opened: tuple[IpNetwork, ...] = ()
        self._protected: tuple[IpNetwork, ...] = ()
        self._reached_at: tuple[IpNetwork, ...] = ()
        self._own: frozenset[IpNetwork] = frozenset()
        self._is_unknown = False
        self._notice = self._open_notice()
        self._timer = reactor.loop.call_soon(self._refresh)
        self._refresh()

    def open(self, opened: tuple[IpNetwork, ...]) -> None:
        """Set networks that are open although they are private to the node; affects new connections only."""
        self._opened = opened
        self._apply()

    def protect(self, protected: tuple[IpNetwork, ...]) -> None:
        """Set destinations that are private to the node, whatever their addresses are."""
        self._protected = protected
        self._apply()

    def reached_at(self, addresses: tuple[IpNetwork, ...]) -> None:
        """Set addresses of the node that the host does not have."""
        self._reached_at = addresses
        self._apply()

    def close(self) -> None:
        self._timer.cancel()
        if self._notice is not None:
            self._reactor.loop.remove_reader(self._notice.fileno())
            self._notice.close()

    def _refresh(self) -> None:
        self._schedule(_REFRESH_S)
        try:
            own = own_networks()
        except (OSError, ValueError) as error:
            if not self._is_unknown:
                log.write("guard.own_addresses_unknown", error=type(error).__name__)
            self._is_unknown = True
            return
        self._is_unknown = False
        if own != self._own:
            self._own = own
            self._apply()

    def _apply(self) -> None:
        self._reactor.may_connect = DestinationGuard(
            self._opened, (*self._own, *self._protected, *self._reached_at)
        ).permits

    def _schedule(self, seconds: float) -> None:
        self._timer.cancel()
        self._timer = self._reactor.loop.call_later(seconds, self._refresh)

    def _open_notice(self) -> socket.socket | None:
        try:
            notice = open_notice()
        except OSError as error:
            log.write("guard.address_notices_unavailable", errno=error.errno)
            return None
        self._reactor.loop.add_reader(notice.fileno(), self._noticed, notice)
        return notice

    def _noticed(self, notice: socket.socket) -> None:
        # The content does not matter, nor do losses (ENOBUFS), because the whole table is read again.
        with suppress(OSError):
            notice.recv(65536)
        self._schedule(_QUIET_S)
