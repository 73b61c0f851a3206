"""A certificate authority of the tests' own, and certificates by it."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates."""

    def __init__(self, name: str = "Test CA", days: float = 90) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        begun = self._builder(self._name, timedelta(days=-3), timedelta(days=days)).public_key(self._key.public_key())
        made = begun.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.pem = made.sign(self._key, SHA256()).public_bytes(Encoding.PEM).decode()

    def _builder(self, subject: x509.Name, since: timedelta, until: timedelta) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name)
        return (
            made.serial_number(x509.random_serial_number()).not_valid_before(now + since).not_valid_after(now + until)
        )

    def issue(self, folder: Path, *hosts: str, days: float = 10, name: str = "server") -> tuple[Path, Path]:
        """Write a certificate for these names and addresses and its key; return the files."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
        begun = self._builder(subject, timedelta(days=-2), timedelta(days=days)).public_key(key.public_key())
        made = begun.add_extension(x509.SubjectAlternativeName([alternative(host) for host in hosts]), critical=False)
        chain, private = folder / f"{name}.pem", folder / f"{name}.key"
        chain.write_bytes(made.sign(self._key, SHA256()).public_bytes(Encoding.PEM))
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return chain, private


def alternative(host: str) -> x509.GeneralName:
    """An address stands as an address; as a name with the same digits it would not count."""
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
