"""Makes the node's own authority, and certificates by it. Pure but for the random keys.

Clients trust the authority, which stays the same for ten years, so that they notice nothing when the certificate is
renewed or the node gets another address.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LASTS = timedelta(days=3650)
LEAF_LASTS = timedelta(days=397)
"""The longest that browsers accept."""
RENEWED_BEFORE = timedelta(days=60)
"""The rest of its time at which a certificate is replaced, and an authority together with it."""
_SLOW_CLOCK = timedelta(days=1)
"""By how much the clocks of clients may be behind."""
_NAME_LIMIT = 64
"""The longest common name (RFC 5280, ub-common-name)."""


def new_authority(name: str, now: datetime) -> bytes:
    """Make an authority: its certificate and its private key in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"maybe-proxy node {name}")
    signed = (
        _begun(subject, subject, key, now, AUTHORITY_LASTS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, SHA256())
    )
    return signed.public_bytes(Encoding.PEM) + _text_of(key)


def new_leaf(authority: bytes, names: Sequence[str], now: datetime) -> bytes:
    """Make a certificate for these addresses and names: its chain and its private key. Raises ValueError if the
    authority cannot be read."""
    issuer, issuer_key = x509.load_pem_x509_certificate(authority), load_pem_private_key(authority, password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority has a key of another kind")
    key = ec.generate_private_key(ec.SECP256R1())
    signed = (
        _begun(_subject(names[0]), issuer.subject, key, now, LEAF_LASTS)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, SHA256())
    )
    return signed.public_bytes(Encoding.PEM) + issuer.public_bytes(Encoding.PEM) + _text_of(key)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, lasts: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - _SLOW_CLOCK)
        .not_valid_after(now + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_NAME_LIMIT])])


def _alternative(name: str) -> x509.GeneralName:
    """An address is no name: clients compare them in different ways (RFC 5280 §4.2.1.6)."""
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _text_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
