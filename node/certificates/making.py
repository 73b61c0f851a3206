"""Makes the node's own authority, and certificates by it. Pure but for the random keys.

Clients trust the authority, which stays the same for ten years, so that they notice nothing when the certificate is
renewed or the node gets another address.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from shared.certificate_parts import (
    authority_builder,
    certificate_pem,
    distinguished_name,
    key_pem,
    new_key,
    server_builder,
)

AUTHORITY_LASTS = timedelta(days=3650)
LEAF_LASTS = timedelta(days=397)
"""The longest that browsers accept."""
RENEWED_BEFORE = timedelta(days=60)
"""The rest of its time at which a certificate is replaced, and an authority together with it."""
_SLOW_CLOCK = timedelta(days=1)
"""By how much the clocks of clients may be behind."""


def new_authority(name: str, now: datetime) -> bytes:
    """Make an authority: its certificate and its private key in PEM."""
    key, subject = new_key(), distinguished_name(f"maybe-proxy node {name}")
    signed = authority_builder(subject, key, now - _SLOW_CLOCK, now + AUTHORITY_LASTS).sign(key, SHA256())
    return certificate_pem(signed) + key_pem(key)


def new_leaf(authority: bytes, names: Sequence[str], now: datetime) -> bytes:
    """Make a certificate for these addresses and names: its chain and its private key. Raises ValueError if the
    authority cannot be read."""
    issuer, issuer_key = x509.load_pem_x509_certificate(authority), load_pem_private_key(authority, password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority has a key of another kind")
    key, subject = new_key(), distinguished_name(names[0])
    begun = server_builder(subject, issuer, issuer_key, key, names, now - _SLOW_CLOCK, now + LEAF_LASTS)
    return certificate_pem(begun.sign(issuer_key, SHA256())) + certificate_pem(issuer) + key_pem(key)
