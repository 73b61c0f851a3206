"""The certificate of the API, which is read again when its files change.

A new certificate is loaded into a context of its own, which then serves all later handshakes: connections that exist
keep the former one, and files that do not belong together change nothing.
"""

import asyncio
import os
import ssl
from pathlib import Path

import structlog

from master.errors import BadConfiguration

log = structlog.get_logger()

LOOK_EVERY_S = 5.0

Stamps = tuple[tuple[int, int, int], ...]
"""Inode, size and time of the last change of each file."""


class ServerCertificate:
    """Certificate chain and private key in two PEM files."""

    def __init__(self, chain: Path, key: Path) -> None:
        """Load the files. Raises BadConfiguration."""
        self._files = (chain, key)
        try:
            self._stamps = self._stamps_now()
            self._reason = ""
            self._current = self._loaded()
        except (OSError, ssl.SSLError) as error:
            raise BadConfiguration("API_TLS_CERT", f"{chain} with API_TLS_KEY {key}: {reason_of(error)}") from error
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        """The context of the listening socket. It hands each handshake over to the certificate that is current."""
        self.context.sni_callback = self._hand_over

    async def run(self) -> None:
        """Look at the files until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Take the files if they have changed and can be used; the reason why not is logged once for each change."""
        try:
            stamps = self._stamps_now()
            if stamps == self._stamps:
                return
            self._stamps = stamps
            self._current = self._loaded()
        except (OSError, ssl.SSLError) as error:
            self._report(reason_of(error))
        else:
            self._reason = ""
            log.info("api.certificate_taken", file=str(self._files[0]))

    def _report(self, reason: str) -> None:
        if reason != self._reason:
            log.error("api.certificate_not_taken", reason=reason, files=[str(file) for file in self._files])
        self._reason = reason

    def _loaded(self) -> ssl.SSLContext:
        """Load the files. Raises OSError, ssl.SSLError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        # Without a password, OpenSSL would ask for that of an encrypted key at the terminal.
        context.load_cert_chain(*self._files, password=no_password)
        return context

    def _stamps_now(self) -> Stamps:
        """Raises OSError."""
        found = [os.stat(file) for file in self._files]
        return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in found)

    def _hand_over(self, handshake: ssl.SSLObject, _name: str, _context: ssl.SSLContext) -> None:
        handshake.context = self._current


def certificate_of(chain: Path | None, key: Path | None) -> ServerCertificate | None:
    """Load the certificate, if there is one. Raises BadConfiguration when only one of the two files is given."""
    if chain is None and key is None:
        return None
    if chain is None:
        raise BadConfiguration("API_TLS_CERT", "is not set, but API_TLS_KEY is")
    if key is None:
        raise BadConfiguration("API_TLS_KEY", "is not set, but API_TLS_CERT is")
    return ServerCertificate(chain, key)


def no_password() -> str:
    """Refuse encrypted keys. Raises OSError."""
    raise OSError(0, "the private key is encrypted; store it without a password, readable by the master alone")


def reason_of(error: OSError) -> str:
    """Return the reason for a person. ssl.SSLError is an OSError."""
    if isinstance(error, ssl.SSLError):
        known = {"KEY_VALUES_MISMATCH": "the private key does not belong to the certificate"}
        return known.get(error.reason or "", f"cannot be loaded ({error.reason or 'no PEM file'})")
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
