"""Notices to systemd: datagrams to the socket that NOTIFY_SOCKET names (sd_notify(3))."""

import os
import socket
from collections.abc import MutableMapping

import structlog

log = structlog.get_logger()

STATUS_LENGTH = 200


class Notices:
    """Sends notices to the service manager, if there is one, and waits for nothing. None fails the agent."""

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        """`address` is a path, or `@` and an abstract name. The manager expects a sign of life every `watchdog_s`."""
        self._address, self.watchdog_s = address, watchdog_s
        self._failed = False
        self._unsent: dict[str, str] = {}
        """The last notice of each kind that the manager has not taken yet."""

    def ready(self) -> None:
        """Report that the start is complete."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Report that the agent is about to end."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Report that the event loop runs."""
        self._send("WATCHDOG=1")
        self._unsent.pop("WATCHDOG", None)

    def status(self, text: str) -> None:
        """Show a line to people: `systemctl status`."""
        self._send(f"STATUS={' '.join(text.split())[:STATUS_LENGTH]}")

    def repeat(self) -> None:
        """Send again what the manager has not taken yet: its queue holds ten notices (unix(7))."""
        if self._address is None or not self._unsent:
            return
        try:
            for kind, notice in list(self._unsent.items()):
                send(self._address, notice)
                del self._unsent[kind]
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.warning("notice.not_sent", notices=list(self._unsent), reason=error.strerror)
            self._failed = True

    def _send(self, notice: str) -> None:
        self._unsent[notice.partition("=")[0]] = notice
        self.repeat()


def send(address: str, notice: str) -> None:
    """Send one datagram. Raises OSError; BlockingIOError instead of waiting for a manager that does not read."""
    target = f"\0{address[1:]}" if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
        sender.sendto(notice.encode(), target)


def notices_of(env: MutableMapping[str, str]) -> Notices:
    """Take the manager's variables out of the environment, so that no process of the engines inherits them."""
    address, period, pid = (env.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"))
    is_address = address.startswith(("/", "@")) and len(address) > 1
    is_watched = period.isascii() and period.isdigit() and int(period) > 0 and pid in ("", str(os.getpid()))
    return Notices(address if is_address else None, int(period) / 1e6 if is_address and is_watched else None)
