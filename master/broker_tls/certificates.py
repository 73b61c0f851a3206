"""The certificates of a broker and of the authority that signs them. Pure but for the keys that are drawn.

Clients pin the authority, so the broker's certificate may be replaced at any time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from master.errors import TlsError
from master.schemas.hosts import plain_host
from shared.certificate_parts import authority_builder, distinguished_name, new_key, server_builder

AUTHORITY_DAYS = 3_650
BROKER_DAYS = 397
BACKDATED = timedelta(hours=1)
"""Certificates begin an hour ago, for clients whose clock is slow."""


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """A certificate authority."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def ends_at(self) -> datetime:
        """The end of its validity."""
        return self.certificate.not_valid_after_utc


def new_authority(now: datetime) -> CertificateAuthority:
    """Draw the key of an authority, and sign its own certificate. The date in its name distinguishes it from others."""
    key = new_key()
    name = distinguished_name(f"maybe-proxy broker CA {now:%Y-%m-%d}")
    made = authority_builder(name, key, now - BACKDATED, now + timedelta(days=AUTHORITY_DAYS))
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    return CertificateAuthority(made.sign(key, SHA256()), key)


def read_authority(certificate: bytes, key: bytes) -> CertificateAuthority:
    """Read an authority from PEM. Raises TlsError."""
    read = read_certificate(certificate)
    private = read_key(key)
    if public_bytes(read) != public_bytes(private):
        raise TlsError("the key of the CA does not belong to its certificate")
    return CertificateAuthority(read, private)


def broker_certificate(
    authority: CertificateAuthority, key: ec.EllipticCurvePrivateKey, hosts: Sequence[str], now: datetime
) -> x509.Certificate:
    """Sign a certificate for these names and addresses. It ends with its authority at the latest. Raises TlsError."""
    if authority.ends_at <= now:
        raise TlsError(f"the CA has expired on {authority.ends_at:%Y-%m-%d}: make another one in another folder")
    ends_at = min(now + timedelta(days=BROKER_DAYS), authority.ends_at)
    subject, since = distinguished_name("maybe-proxy broker"), now - BACKDATED
    made = server_builder(subject, authority.certificate, authority.key, key, hosts, since, ends_at)
    return made.sign(authority.key, SHA256())


def hosts_of(certificate: x509.Certificate) -> list[str]:
    """Return the names and addresses for which a certificate is valid."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]


def read_host(text: str) -> str:
    """Read a name or address of a broker. Raises ValueError."""
    host = plain_host(text)
    if host is None:
        raise ValueError(f"{text!r} is not a host name or IP address (without scheme, port and wildcard)")
    return host


def read_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a key from PEM. Raises TlsError."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise TlsError("the private key is not a PEM file without a password") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TlsError("the private key is not an ECDSA key: it was not made by maybe-master tls")
    return key


def read_certificate(pem: bytes) -> x509.Certificate:
    """Read a certificate from PEM. Raises TlsError."""
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise TlsError("the certificate is not a PEM file") from error


def public_bytes(owner: x509.Certificate | ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public key, for a comparison."""
    return owner.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
