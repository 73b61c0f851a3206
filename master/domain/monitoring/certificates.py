"""When the certificates that this master uses end, as a metric."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path

import structlog
from cryptography import x509

from master.domain.monitoring.kept import Kept
from master.instruments import by

log = structlog.get_logger()

UNREADABLE = 0.0
"""The end of a file that cannot be read, so that whoever watches for the end is alerted at once."""
AUTHORITY = "broker_ca"
NAME = "maybe_certificate_end_timestamp_seconds"
WORDS = "When a certificate ends; of a chain, the first one. 0: the file cannot be read."


PROBED_EVERY_S = 300.0
"""The age of the end of the broker's certificate, which takes a login to learn."""


async def no_broker() -> None:
    """Stand for a broker without a certificate."""


class Certificates:
    """PEM files, each under the name of what it is for, and the certificate that the broker shows.

    Files are read at each request, since they are renewed.
    """

    def __init__(
        self, files: Mapping[str, Path], broker_end: Callable[[], Awaitable[datetime | None]] = no_broker
    ) -> None:
        """`broker_end` returns the end of the broker's certificate; None without one, or while it is out of reach."""
        self._files = files
        self._broker_end = Kept(broker_end, PROBED_EVERY_S)
        self._unreadable: set[str] = set()

    async def family(self) -> str:
        """Return the metric."""
        ends = await asyncio.to_thread(self._file_ends)
        broker_end = await self._broker_end.get()
        if broker_end is not None:
            ends["broker",] = broker_end.timestamp()
        return by(NAME, WORDS, ("certificate",), ends)

    def _file_ends(self) -> dict[tuple[str, ...], float]:
        return {(name,): self._end(name, file) for name, file in self._files.items()}

    def _end(self, name: str, file: Path) -> float:
        try:
            end = end_of_file(name, file.read_bytes())
        except (OSError, ValueError) as error:
            if name not in self._unreadable:
                self._unreadable.add(name)
                log.warning("certificate.unreadable", certificate=name, file=str(file), reason=str(error))
            return UNREADABLE
        self._unreadable.discard(name)
        return end


def end_of_file(name: str, pem: bytes) -> float:
    """Return when a chain ends, in seconds since 1970. Of several authorities one suffices. Raises ValueError."""
    ends = [one.not_valid_after_utc.timestamp() for one in x509.load_pem_x509_certificates(pem)]
    return max(ends) if name == AUTHORITY else min(ends)
