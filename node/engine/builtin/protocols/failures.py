"""Reasons why a destination was not reached, and how each proxy protocol reports them."""

import errno
from enum import Enum


class ConnectFailure(Enum):
    """(words, HTTP status per RFC 9110 §15.6, SOCKS5 reply per RFC 1928 §6)."""

    REFUSED = ("the destination refused the connection", 502, 0x05)
    HOST = ("the destination cannot be reached", 502, 0x04)
    NETWORK = ("the destination's network cannot be reached", 502, 0x03)
    PRIVATE = ("the destination is private to this host", 403, 0x02)
    PORT = ("the destination's port is closed to the clients of this proxy", 403, 0x02)
    CLOSED = ("the destination is closed to the clients of this proxy", 403, 0x02)
    FAMILY = ("the destination has no address of the family that this proxy's exit can reach", 502, 0x04)
    EXIT = ("the proxy's exit address cannot be used on this host", 502, 0x01)
    NAME = ("the destination's name cannot be resolved", 502, 0x04)
    TIMEOUT = ("the destination did not answer in time", 504, 0x04)
    FORBIDDEN = ("the connection is not allowed by this host", 502, 0x02)
    EXHAUSTED = ("the proxy is out of resources", 503, 0x01)

    def __init__(self, words: str, status: int, reply: int) -> None:
        self.words = words
        self.status = status
        self.reply = reply


_BY_ERRNO = {
    errno.ECONNREFUSED: ConnectFailure.REFUSED,
    errno.ETIMEDOUT: ConnectFailure.TIMEOUT,
    errno.ENETUNREACH: ConnectFailure.NETWORK,
    errno.EACCES: ConnectFailure.FORBIDDEN,
    errno.EPERM: ConnectFailure.FORBIDDEN,
    errno.EMFILE: ConnectFailure.EXHAUSTED,
    errno.ENFILE: ConnectFailure.EXHAUSTED,
    errno.ENOBUFS: ConnectFailure.EXHAUSTED,
    errno.ENOMEM: ConnectFailure.EXHAUSTED,
    errno.EADDRNOTAVAIL: ConnectFailure.EXHAUSTED,
}


def failure_of(number: int | None) -> ConnectFailure:
    """Map an errno of socket() or connect() to a failure."""
    return _BY_ERRNO.get(number or 0, ConnectFailure.HOST)
