"""A certificate as the node serves and reports it."""

from dataclasses import dataclass, field
from datetime import datetime

from shared.messages.bodies import TROUBLE_LENGTH, TlsCertificate

PEM_LIMIT = 16_000
NAME_LIMIT, NAMES_LIMIT = 100, 100


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedCertificate:
    """A certificate with its key. `trusted` is the certificate by which clients recognise it."""

    pem: str = field(repr=False)
    """The chain, the leaf first, and the private key."""
    trusted: str
    names: tuple[str, ...]
    expires_at: datetime
    self_made: bool = False

    def report(self, problem: str) -> TlsCertificate:
        """Return what the master learns of it."""
        return TlsCertificate(
            pem=self.trusted if len(self.trusted) <= PEM_LIMIT else "",
            names=tuple(name for name in self.names if len(name) <= NAME_LIMIT)[:NAMES_LIMIT],
            expires_at=self.expires_at,
            self_made=self.self_made,
            problem=problem[:TROUBLE_LENGTH],
        )
