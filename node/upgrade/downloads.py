"""Downloads over HTTP, bounded in size and time, and never by another scheme."""

import hashlib
import signal
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from types import FrameType
from typing import IO
from urllib.parse import urljoin, urlsplit

from node.upgrade.decisions import Refused

STALL_S = 20.0
"""Longest silence of a server."""
SMALL_S = 60.0
"""Time for a manifest or its signatures."""
LEAST_RATE = 20_000
"""Bytes per second below which a bundle is given up, on the average."""
PIECE = 65_536
SCHEMES = ("http", "https")


class DeadlinePassed(Exception):
    """The time for an act is over."""


class WebRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https alone."""

    max_redirections = 5

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: object, newurl: str
    ) -> urllib.request.Request | None:
        """Refuse another scheme. Raises Refused."""
        if urlsplit(newurl).scheme not in SCHEMES:
            raise Refused(f"{req.full_url} leads to another scheme than http and https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # pyright: ignore[reportArgumentType] (typeshed wants its own type of headers)


def fetch_small(url: str, limit: int) -> bytes:
    """Fetch a document of at most `limit` bytes. Raises Refused."""
    with fetching(url, SMALL_S), opener().open(url, timeout=STALL_S) as answer:
        body = answer.read(limit + 1)
    if len(body) > limit:
        raise Refused(f"{url} has more than {limit} bytes")
    return body


def fetch_file(url: str, path: Path, size: int, sha256: str) -> None:
    """Fetch a file of this size and checksum. Raises Refused, and OSError when it cannot be written."""
    digest, length = hashlib.sha256(), 0
    limit_s = SMALL_S + size / LEAST_RATE
    with path.open("xb") as file, fetching(url, limit_s), opener().open(url, timeout=STALL_S) as answer:
        while length <= size and (piece := answer.read(min(PIECE, size + 1 - length))):
            length += len(piece)
            digest.update(piece)
            write(file, piece)
    if length != size:
        raise Refused(f"{url} has {'more than' if length > size else f'only {length} of'} {size} bytes")
    if digest.hexdigest() != sha256:
        raise Refused(f"{url} has not the SHA-256 that the manifest names")


class NotWritten(Exception):
    """The disk refused a piece of a download, which is no error of the network."""


def write(file: IO[bytes], piece: bytes) -> None:
    """Write a piece. Raises NotWritten."""
    try:
        file.write(piece)
    except OSError as error:
        raise NotWritten(f"{file.name} cannot be written: {error.strerror}") from error


@contextmanager
def fetching(url: str, seconds: float) -> Generator[None]:
    """Translate errors of a download, and end it after these seconds. Raises Refused."""
    try:
        with deadline(seconds):
            yield
    except DeadlinePassed:
        raise Refused(f"{url} did not arrive within {seconds:.0f} s") from None
    except NotWritten as error:
        raise Refused(str(error)) from error
    except urllib.error.HTTPError as error:
        with error:
            raise Refused(f"{url} was answered with status {error.code}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise Refused(f"{url} cannot be fetched: {cause(error)}") from error


def cause(error: Exception) -> str:
    """Describe an error of a download in a few words."""
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, TimeoutError):
        return f"the server was silent for {STALL_S:.0f} s"
    return str(getattr(reason, "strerror", None) or reason or type(reason).__name__)[:150]


@contextmanager
def deadline(seconds: float) -> Generator[None]:
    """End what is done here after these seconds, wherever it waits. For the main thread alone. Raises DeadlinePassed.

    A server that sends a byte now and then passes every time limit of a socket.
    """

    def ring(_: int, __: FrameType | None) -> None:
        raise DeadlinePassed

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def opener() -> urllib.request.OpenerDirector:
    """Build an opener without handlers of other schemes (file, ftp, data)."""
    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        WebRedirects(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        made.add_handler(handler)
    made.addheaders = [("User-Agent", "maybe-node")]
    return made


def beside(url: str, name: str) -> str:
    """Return the address of a file in the folder of another one."""
    return urljoin(url, name)
