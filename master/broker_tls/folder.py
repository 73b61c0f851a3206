"""The folder of a certificate authority and its broker: what is written there, in which order, and never overwritten.

The key of the authority is written first and its certificate before everything that it signs. A command that dies in
between leaves a folder for which `init` names what to do, and which `renew` completes once the authority is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath

from cryptography.hazmat.primitives.asymmetric import ec

from master.broker_tls.certificates import (
    CertificateAuthority,
    broker_certificate,
    hosts_of,
    new_authority,
    read_authority,
    read_certificate,
    read_key,
)
from master.broker_tls.rabbitmq_settings import AUTHORITY, BROKER, BROKER_KEY, tls_settings
from master.errors import TlsError
from shared.certificate_parts import certificate_pem, key_pem, new_key
from shared.durable_files import write_file

AUTHORITY_KEY = "ca.key"
SETTINGS = "50-tls.conf"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate of the broker that was written. `has_new_key`: its private key was drawn for it."""

    hosts: Sequence[str]
    ends_at: datetime
    authority_ends_at: datetime
    has_new_key: bool


def init(folder: Path, hosts: Sequence[str], now: datetime, *, found_at: PurePath, keeps_plain: bool) -> Issued:
    """Make an authority, a broker's certificate and RabbitMQ's settings. Raises TlsError, OSError.

    `found_at` is the folder as RabbitMQ sees it.
    """
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    refuse_existing(folder)
    authority = new_authority(now)
    write_file(folder / AUTHORITY_KEY, key_pem(authority.key), 0o600)
    write_file(folder / AUTHORITY, certificate_pem(authority.certificate))
    issued = issue(folder, authority, hosts, now)
    write_file(folder / SETTINGS, tls_settings(found_at, keeps_plain=keeps_plain).encode())
    return issued


def refuse_existing(folder: Path) -> None:
    """Raise TlsError if there is an authority, whole or in part: nodes may trust it already."""
    if (folder / AUTHORITY).exists():
        raise TlsError(
            f"{folder / AUTHORITY} is there already, and a CA is never overwritten: use tls renew for another "
            "certificate of the broker, or another folder for another CA"
        )
    if (folder / AUTHORITY_KEY).exists():
        raise TlsError(f"{folder / AUTHORITY_KEY} is there without {AUTHORITY}: move it away, and run tls init again")


def renew(folder: Path, hosts: Sequence[str], now: datetime) -> Issued:
    """Write another certificate of the broker, by default for the same hosts. Raises TlsError, OSError."""
    authority = authority_in(folder)
    return issue(folder, authority, hosts or present_hosts(folder), now)


def authority_in(folder: Path) -> CertificateAuthority:
    """Read the authority of a folder. Raises TlsError."""
    certificate, key = folder / AUTHORITY, folder / AUTHORITY_KEY
    if missing := [file for file in (certificate, key) if not file.exists()]:
        raise TlsError(f"{missing[0]} is missing: tls init makes a CA, whose key renewals need")
    try:
        return read_authority(certificate.read_bytes(), key.read_bytes())
    except TlsError as error:
        raise TlsError(f"{certificate} and {key}: {error}") from error


def present_hosts(folder: Path) -> list[str]:
    """Return the hosts of the broker's certificate. Raises TlsError."""
    file = folder / BROKER
    if not file.exists():
        raise TlsError(f"{file} is missing: name the hosts of the broker by --broker")
    try:
        return hosts_of(read_certificate(file.read_bytes()))
    except TlsError as error:
        raise TlsError(f"{file}: {error}") from error


def issue(folder: Path, authority: CertificateAuthority, hosts: Sequence[str], now: datetime) -> Issued:
    """Write a certificate of the broker. Raises TlsError, OSError.

    Its key is kept if there is one: then a single file changes, at one moment, and RabbitMQ can read the key as before.
    """
    has_new_key = not (folder / BROKER_KEY).exists()
    key = new_key() if has_new_key else present_key(folder)
    certificate = broker_certificate(authority, key, hosts, now)
    if has_new_key:
        write_file(folder / BROKER_KEY, key_pem(key), 0o600)
    write_file(folder / BROKER, certificate_pem(certificate))
    return Issued(hosts_of(certificate), certificate.not_valid_after_utc, authority.ends_at, has_new_key)


def present_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    """Read the key of the broker. Raises TlsError, OSError."""
    try:
        return read_key((folder / BROKER_KEY).read_bytes())
    except TlsError as error:
        raise TlsError(f"{folder / BROKER_KEY}: {error}") from error
