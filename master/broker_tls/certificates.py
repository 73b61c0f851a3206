"""The certificates of a broker and of the authority that signs them. Pure but for the keys that are drawn.

Clients pin the authority, so the broker's certificate may be replaced at any time. Keys are ECDSA on P-256: the
smallest that every TLS library verifies.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from master.errors import TlsError
from master.schemas.hosts import plain_host

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
    name = named(f"maybe-proxy broker CA {now:%Y-%m-%d}")
    made = begun(name, name, key, now, now + timedelta(days=AUTHORITY_DAYS))
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    made = made.add_extension(usage(signs_certificates=True), critical=True)
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
    made = begun(named("maybe-proxy broker"), authority.certificate.subject, key, now, ends_at)
    made = made.add_extension(x509.SubjectAlternativeName([alternative(host) for host in hosts]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    made = made.add_extension(usage(signs_certificates=False), critical=True)
    made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    return made.add_extension(issuer, critical=False).sign(authority.key, SHA256())


def begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, ends_at: datetime
) -> x509.CertificateBuilder:
    """Begin a certificate of this key."""
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - BACKDATED).not_valid_after(ends_at)
    return made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Return the key usage of an authority, or of a server."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def named(common_name: str) -> x509.Name:
    """Return a distinguished name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def alternative(host: str) -> x509.GeneralName:
    """Return the form of a host in a certificate: an address that stands as a name would not count (RFC 6125 §B.2)."""
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


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


def new_key() -> ec.EllipticCurvePrivateKey:
    """Draw a key."""
    return ec.generate_private_key(ec.SECP256R1())


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


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Write a key as PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Write a certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)
