"""Keeps the certificate of the node valid, and gives it to the engine."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from node.certificates.values import ServedCertificate
from node.engine.interface import EngineError
from node.settings import Settings
from node.state.local_copy import LocalCopy
from shared.messages.bodies import TlsCertificate

log = structlog.get_logger()

LOOK_EVERY_S = 5.0
_OWN_EVERY = 720
"""Looks between two at the node's own certificate, whose end comes slowly."""


class CertificateKeeper:
    """Takes the certificate of NODE_TLS_CERT and NODE_TLS_KEY, again whenever the files change; without them the node
    makes one itself. A certificate that cannot be used changes nothing, and its problem is logged and reported.

    `on_change` is called when the report has changed.
    """

    def __init__(self, settings: Settings, copy: LocalCopy, use: Callable[[str], Awaitable[None]]) -> None:
        """`use` gives a certificate with its key to the workers."""
        self._chain, self._key, self._folder = settings.tls_cert, settings.tls_key, settings.files.tls_dir
        self._copy, self._use = copy, use
        self._current: ServedCertificate | None = None
        self._problem = ""
        self._stamps: object = None
        self._ip, self._looks = "", 0
        self._turn = asyncio.Lock()
        self.on_change: Callable[[], None] = lambda: None

    @property
    def report(self) -> TlsCertificate | None:
        """What the master learns; None while the node has no certificate."""
        return self._current.report(self._problem) if self._current is not None else None

    async def run(self) -> None:
        """Look at the files until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Take a certificate that is new, if this node needs any."""
        if self._chain is not None or self._current is not None or self._is_needed():
            await self._look()

    async def ensure(self) -> None:
        """Have a certificate, for a proxy that starts. Raises EngineError."""
        if self._current is None:
            await self._look()
        if self._current is None:
            raise EngineError(f"the node has no certificate for TLS: {self._problem}")

    def _is_needed(self) -> bool:
        stored = self._copy.proxies.values()
        return any(each.record is not None and each.record.tls for each in stored)

    async def _look(self) -> None:
        async with self._turn:
            try:
                found = await asyncio.to_thread(self._new)
            except ValueError as error:
                self._complain(str(error))
                return
            if found is None:
                return
            await self._use(found.pem)
            self._current, self._problem = found, ""
            log.info("certificate.taken", names=found.names, expires_at=found.expires_at.isoformat())
        self.on_change()

    def _complain(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            log.error("certificate.not_taken", reason=problem)
            self.on_change()

    def _new(self) -> ServedCertificate | None:
        """Read or make the certificate; None if it is the current one. Raises ValueError."""
        # Few nodes need the cryptography behind it.
        from node.certificates.files import OwnCertificate, read_operators, stamps  # noqa: PLC0415

        if self._chain is not None and self._key is not None:
            seen = stamps(self._chain, self._key)
            if seen == self._stamps:
                return None
            self._stamps = seen
            return read_operators(self._chain, self._key)
        self._looks += 1
        if self._current is not None and self._ip == self._copy.ip and self._looks < _OWN_EVERY:
            return None
        self._ip, self._looks = self._copy.ip, 0
        found = OwnCertificate(self._folder).current(self._ip)
        return found if self._current is None or found.pem != self._current.pem else None
