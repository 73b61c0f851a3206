"""TLS with clients: the certificate of the node, and the log of clients that are refused.

Only workers that are given a certificate load OpenSSL; see bootstrap.py.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from node.engine.builtin import log

if TYPE_CHECKING:
    from ssl import MemoryBIO, SSLObject

HANDSHAKE_RECORD = 0x16
"""The first byte of a TLS connection (RFC 8446 §5.1). No protocol of a proxy begins with it."""
_TICKETS = 1
_REPORT_AGAIN_S = 60.0
_MOST_PROXIES = 10_000
"""Proxies that are remembered, since those that were removed are forgotten in no other way."""
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2; those of TLS 1.3 are all good."""


class TlsServer:
    """A certificate with its key, as PEM, and what is derived from it. Raises ValueError if OpenSSL refuses it.

    At least TLS 1.2, without renegotiation. Sessions are resumed by tickets, whose keys live as long as this object.
    """

    __slots__ = ("_new_bio", "_wrap", "has_ended", "pem", "wants_more")

    def __init__(self, pem: str) -> None:
        import ssl  # noqa: PLC0415 (few workers need it)

        self.pem = pem
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_ciphers(_CIPHERS)
        context.set_alpn_protocols(["http/1.1"])
        context.num_tickets = _TICKETS
        try:
            _load(context.load_cert_chain, pem)
        except OSError as error:
            reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
            raise ValueError(f"the certificate cannot be used: {reason}") from error
        self._new_bio, self._wrap = ssl.MemoryBIO, context.wrap_bio
        self.wants_more: type[OSError] = ssl.SSLWantReadError
        self.has_ended: type[OSError] = ssl.SSLZeroReturnError

    def wrap(self) -> "tuple[SSLObject, MemoryBIO, MemoryBIO]":
        """Return the state of a new connection, and its encrypted input and output."""
        incoming, outgoing = self._new_bio(), self._new_bio()
        return self._wrap(incoming, outgoing, server_side=True), incoming, outgoing


def _load(load: Callable[..., None], pem: str) -> None:
    """Load a certificate, which OpenSSL reads from files only, from one in memory, so that no disk has the key."""
    fd = os.memfd_create("certificate")
    try:
        os.write(fd, pem.encode())
        load(f"/proc/self/fd/{fd}", password="")  # without a password, OpenSSL would ask for one at the terminal
    finally:
        os.close(fd)


class TlsRefusals:
    """Logs clients that fail to speak TLS: for each proxy at most one line a minute, with the number of clients."""

    __slots__ = ("_again_at", "_unlogged")

    def __init__(self) -> None:
        self._again_at: dict[int, float] = {}
        self._unlogged: dict[int, int] = {}

    def add(self, proxy_id: int, source: str, reason: str, now: float) -> None:
        count = self._unlogged.get(proxy_id, 0) + 1
        if now < self._again_at.get(proxy_id, now):
            self._unlogged[proxy_id] = count
            return
        if len(self._again_at) >= _MOST_PROXIES:
            self._again_at.clear()
            self._unlogged.clear()
        self._again_at[proxy_id] = now + _REPORT_AGAIN_S
        self._unlogged[proxy_id] = 0
        log.write("tls.refused", proxy_id=proxy_id, source=source, reason=reason, clients=count)
