"""Reads certificates and private keys in PEM. Pure."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from node.certificates.values import ServedCertificate
from node.engine.builtin.net.tls import TlsServer


def read_certificate(chain: bytes, key: bytes, *, self_made: bool = False) -> ServedCertificate:
    """Read a chain, whose first certificate the key belongs to, and check that workers can use both.

    A self-made one is trusted by the last certificate of its chain. Raises ValueError with a reason for a person.
    """
    certificates = _certificates(chain)
    leaf, trusted = certificates[0], certificates[-1] if self_made else certificates[0]
    if _public(leaf) != _public_of_key(key):
        raise ValueError("the private key does not belong to the certificate")
    pem = "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates) + key.decode("ascii")
    TlsServer(pem)
    return ServedCertificate(
        pem=pem,
        trusted=trusted.public_bytes(Encoding.PEM).decode(),
        names=_names(leaf),
        expires_at=leaf.not_valid_after_utc,
        self_made=self_made,
    )


def _certificates(chain: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(chain)
    except ValueError as error:
        raise ValueError("the certificate is no PEM file") from error


def _public(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _public_of_key(key: bytes) -> bytes:
    try:
        private = load_pem_private_key(key, password=None)
    except TypeError as error:
        raise ValueError("the private key is encrypted; store it without a password") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("the private key is no PEM file") from error
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return (*map(str, names.get_values_for_type(x509.IPAddress)), *names.get_values_for_type(x509.DNSName))
