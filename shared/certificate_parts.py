"""Parts of the certificates that the programs make: for the broker by the master, and for clients of proxies by a node.

Keys are ECDSA on P-256: the smallest that every TLS library verifies. Pure but for the keys that are drawn.
"""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

COMMON_NAME_LIMIT = 64
"""The longest common name (RFC 5280, ub-common-name)."""


def new_key() -> ec.EllipticCurvePrivateKey:
    """Draw a key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Write a key as PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Write a certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def distinguished_name(common_name: str) -> x509.Name:
    """Return the name of a subject. A longer common name is cut."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:COMMON_NAME_LIMIT])])


def authority_builder(
    name: x509.Name, key: ec.EllipticCurvePrivateKey, since: datetime, until: datetime
) -> x509.CertificateBuilder:
    """Return the certificate of an authority that signs certificates of servers alone, before it is signed."""
    begun = builder(name, name, key, since, until)
    return begun.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).add_extension(
        key_usage(signs_certificates=True), critical=True
    )


def server_builder(
    subject: x509.Name,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
    hosts: Sequence[str],
    since: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    """Return the certificate of a server with these names and addresses, before its authority signs it."""
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    begun = builder(subject, authority.subject, key, since, until)
    return (
        begun.add_extension(x509.SubjectAlternativeName([alternative_name(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer, critical=False)
    )


def builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, since: datetime, until: datetime
) -> x509.CertificateBuilder:
    """Begin a certificate of this key."""
    made = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), since, until)
    return made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def alternative_name(host: str) -> x509.GeneralName:
    """Return the form of a host in a certificate: an address that stands as a name would not count (RFC 6125 §B.2)."""
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
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
