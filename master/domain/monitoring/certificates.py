"""When the certificates that this master uses end, as a metric."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import structlog
from cryptography import x509

from master.instruments import by

log = structlog.get_logger()

UNREADABLE = 0.0
"""The end of a file that cannot be read, so that whoever watches for the end is alerted at once."""
NAME = "maybe_certificate_end_timestamp_seconds"
WORDS = "When the certificates of a file end: the first of a chain. 0: the file cannot be read."


class CertificateFiles:
    """PEM files, each under the name of what it is for. They are read at each request, since they are renewed."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files
        self._unreadable: set[str] = set()

    async def family(self) -> str:
        """Return the metric."""
        return await asyncio.to_thread(self._family)

    def _family(self) -> str:
        return by(NAME, WORDS, ("certificate",), {(name,): self._end(name, file) for name, file in self._files.items()})

    def _end(self, name: str, file: Path) -> float:
        try:
            end = first_end(file.read_bytes())
        except (OSError, ValueError) as error:
            if name not in self._unreadable:
                self._unreadable.add(name)
                log.warning("certificate.unreadable", certificate=name, file=str(file), reason=str(error))
            return UNREADABLE
        self._unreadable.discard(name)
        return end


def first_end(pem: bytes) -> float:
    """Return when the first of these certificates ends, in seconds since 1970. Raises ValueError without any."""
    return min(one.not_valid_after_utc.timestamp() for one in x509.load_pem_x509_certificates(pem))
