"""`maybe-master tls`: an authority is made once, and certificates of the broker by it are verified as they must be."""

import os
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from master.broker_tls.certificates import broker_certificate, new_authority
from master.broker_tls.commands import run_tls
from master.errors import TlsError
from shared.certificate_parts import new_key

HOSTS = ("rabbit.example", "127.0.0.1", "::1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an authority."""
    assert run_tls(["init", "--broker", *HOSTS, "--out", str(tmp_path / "tls")]) == 0
    return tmp_path / "tls"


def failure(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run_tls(words) == 1
    return capsys.readouterr().err


def leaf(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "broker.pem").read_bytes())


def handshake(folder: Path, host: str, authority: Path | None = None) -> None:
    """A client that trusts the authority alone connects in memory. Raises ssl.SSLError."""
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(folder / "broker.pem", folder / "broker.key")
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    trusting.load_verify_locations(authority or folder / "ca.pem")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = served.wrap_bio(up, down, server_side=True)
    client = trusting.wrap_bio(down, up, server_hostname=host)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


@pytest.mark.parametrize("host", HOSTS)
def test_the_authority_verifies_the_broker_by_each_of_its_hosts(folder: Path, host: str):
    handshake(folder, host)


@pytest.mark.parametrize(("host", "reason"), [("other.example", "Hostname mismatch"), ("127.0.0.2", "IP address mis")])
def test_another_name_is_refused(folder: Path, host: str, reason: str):
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        handshake(folder, host)


def test_another_authority_is_refused(folder: Path, tmp_path: Path):
    run_tls(["init", "--broker", *HOSTS, "--out", str(tmp_path / "other")])
    with pytest.raises(ssl.SSLCertVerificationError, match=r"unable to get local issuer|signature failure"):
        handshake(folder, HOSTS[0], tmp_path / "other/ca.pem")


def test_private_keys_are_readable_for_their_owner_alone_and_certificates_for_all(tmp_path: Path):
    before = os.umask(0o077)
    try:
        run_tls(["init", "--broker", "h", "--out", str(tmp_path / "tls")])
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "tls").iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "broker.pem": 0o644, "broker.key": 0o600, "50-tls.conf": 0o644}


def test_an_authority_is_never_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]):
    before = {file: file.read_bytes() for file in folder.iterdir()}
    assert "use tls renew" in failure(["init", "--broker", "h", "--out", str(folder)], capsys)
    (folder / "ca.pem").unlink()
    assert "move it away" in failure(["init", "--broker", "h", "--out", str(folder)], capsys)
    assert (folder / "ca.key").read_bytes() == before[folder / "ca.key"]


def test_a_renewal_keeps_authority_hosts_and_key(folder: Path):
    before, first = {file: file.read_bytes() for file in folder.iterdir()}, leaf(folder)
    assert run_tls(["renew", "--out", str(folder)]) == 0
    changed = [file.name for file, content in before.items() if file.read_bytes() != content]
    assert changed == ["broker.pem"]
    assert leaf(folder).serial_number != first.serial_number
    for host in HOSTS:
        handshake(folder, host)


def test_a_renewal_takes_other_hosts(folder: Path):
    assert run_tls(["renew", "--out", str(folder), "--broker", "elsewhere.example"]) == 0
    handshake(folder, "elsewhere.example")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(folder, HOSTS[0])


def test_a_renewal_completes_a_folder_whose_first_certificate_was_not_written(folder: Path):
    for name in ("broker.pem", "broker.key"):
        (folder / name).unlink()
    assert run_tls(["renew", "--out", str(folder), "--broker", "h"]) == 0
    handshake(folder, "h")


@pytest.mark.parametrize(
    ("broken", "content", "reason"),
    [
        ("ca.key", None, "ca.key is missing"),
        ("ca.key", b"-----BEGIN", "is not a PEM file without a password"),
        ("ca.pem", b"", "is not a PEM file"),
        ("broker.pem", None, "name the hosts of the broker by --broker"),
        ("broker.key", b"\xff", "broker.key: the private key is not a PEM file"),
    ],
)
def test_files_that_cannot_be_used_are_named_and_nothing_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], broken: str, content: bytes | None, reason: str
):
    (folder / broken).unlink()
    if content is not None:
        (folder / broken).write_bytes(content)
    before = {file: file.read_bytes() for file in folder.iterdir()}
    assert reason in failure(["renew", "--out", str(folder)], capsys)
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_a_key_of_another_authority_signs_nothing(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_tls(["init", "--broker", "h", "--out", str(tmp_path / "other")])
    (folder / "ca.key").write_bytes((tmp_path / "other/ca.key").read_bytes())
    assert "does not belong to its certificate" in failure(["renew", "--out", str(folder)], capsys)


@pytest.mark.parametrize("host", ["*.example", "amqps://h", "h:5671", "", "a b", "h/", "-"])
def test_hosts_are_names_or_addresses(tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        run_tls(["init", "--broker", host, "--out", str(tmp_path)])
    assert "is not a host name or IP address" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_settings_name_the_files_where_the_broker_finds_them(tmp_path: Path):
    run_tls(["init", "--broker", "h", "--out", str(tmp_path / "tls"), "--found-at", "/etc/rabbitmq/tls"])
    settings = (tmp_path / "tls/50-tls.conf").read_text()
    assert "ssl_options.certfile = /etc/rabbitmq/tls/broker.pem\n" in settings
    assert "\nlisteners.tcp = none\n" in settings
    assert "5672" not in settings


def test_a_broker_that_is_still_used_in_clear_text_keeps_these_ports(tmp_path: Path):
    run_tls(["init", "--broker", "h", "--out", str(tmp_path / "tls"), "--keep-plain"])
    settings = (tmp_path / "tls/50-tls.conf").read_text()
    assert "\nlisteners.tcp.default = 5672\n" in settings
    assert "\nmanagement.tcp.port = 15672\n" in settings


def test_the_last_certificate_of_an_authority_ends_with_it():
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    authority = new_authority(begun)
    near_the_end = authority.ends_at - timedelta(days=100)
    assert broker_certificate(authority, new_key(), ["h"], begun).not_valid_after_utc == begun + timedelta(days=397)
    assert broker_certificate(authority, new_key(), ["h"], near_the_end).not_valid_after_utc == authority.ends_at
    with pytest.raises(TlsError, match="has expired on 2035-12-30"):
        broker_certificate(authority, new_key(), ["h"], authority.ends_at)
