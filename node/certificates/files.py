"""The files of certificates: the operator's, and those of the node itself in its data directory."""

import re
import socket
from datetime import UTC, datetime
from pathlib import Path

import structlog

from node.certificates.making import LEAF_LASTS, RENEWED_BEFORE, new_authority, new_leaf
from node.certificates.reading import read_certificate
from node.certificates.values import ServedCertificate
from node.state.identity import write_secret

log = structlog.get_logger()

FILE_LIMIT = 1_000_000
"""Most bytes of a file that is read."""
_HOST_NAME = re.compile(r"(?=.{1,100}$)[0-9A-Za-z_-]{1,63}(\.[0-9A-Za-z_-]{1,63})*")


def read_operators(chain: Path, key: Path) -> ServedCertificate:
    """Read the operator's files. Raises ValueError with a reason for a person."""
    try:
        return read_certificate(_content(chain), _content(key))
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read: {error.strerror}") from error


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(FILE_LIMIT + 1)
    if len(content) > FILE_LIMIT:
        raise ValueError(f"{path} has more than {FILE_LIMIT} bytes")
    return content


def stamps(*paths: Path) -> tuple[tuple[int, int, int] | None, ...]:
    """Inode, size and time of the last change of each file; None for one that is not there."""
    return tuple(_stamp(path) for path in paths)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def own_names(ip: str) -> tuple[str, ...]:
    """The address at which clients reach this node, if it is known, and the name of the host."""
    host = socket.gethostname()
    return (*([ip] if ip else []), *([host] if _HOST_NAME.fullmatch(host) else []), "localhost")


class OwnCertificate:
    """The node's own authority and certificate, which are kept in files that only this user reads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority, self._leaf = folder / "authority.pem", folder / "certificate.pem"

    def current(self, ip: str) -> ServedCertificate:
        """Read the certificate, or make it if there is none, its end is near, or it is for another address.

        If the files cannot be written, it lasts until the agent ends.
        """
        now, names = datetime.now(UTC), own_names(ip)
        found = self._read()
        if found is not None and found.expires_at - now > RENEWED_BEFORE and set(names) <= set(found.names):
            return found
        leaf = new_leaf(self._usable_authority(now), names, now)
        self._write(self._leaf, leaf)
        log.info("certificate.made", names=names)
        return read_certificate(leaf, _key_of(leaf), self_made=True)

    def _read(self) -> ServedCertificate | None:
        try:
            content = _content(self._leaf)
            return read_certificate(content, _key_of(content), self_made=True)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("certificate.own_unreadable", file=str(self._leaf), reason=str(error))
            return None

    def _usable_authority(self, now: datetime) -> bytes:
        """Read the authority, or make it if there is none that outlives the next certificate."""
        try:
            authority = _content(self._authority)
            kept = read_certificate(authority, _key_of(authority))
        except FileNotFoundError:
            kept = authority = None
        except (OSError, ValueError) as error:
            log.error("certificate.authority_lost", file=str(self._authority), reason=str(error))
            kept = authority = None
        if kept is not None and authority is not None and kept.expires_at - now > LEAF_LASTS:
            return authority
        made = new_authority(socket.gethostname(), now)
        self._write(self._authority, made)
        return made

    def _write(self, path: Path, content: bytes) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_secret(path, content)
        except OSError as error:
            effect = "after a restart of the agent, clients have to trust another certificate"
            log.error("certificate.not_kept", file=str(path), reason=error.strerror, effect=effect)


def _key_of(content: bytes) -> bytes:
    """The private key at the end of a file that begins with certificates."""
    begin = content.find(b"-----BEGIN PRIVATE KEY-----")
    return content[begin:] if begin >= 0 else b""
