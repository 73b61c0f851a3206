"""The certificate that a node makes, and the operator's that it reads."""

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509 import verification

from node.certificates.files import OwnCertificate, own_names, read_operators
from node.certificates.making import new_authority, new_leaf
from node.certificates.reading import read_certificate
from tests.clients.origins import certificate
from tests.tls.authority import Authority


def test_the_own_certificate_is_for_the_address_and_the_name_of_the_node(tmp_path: Path) -> None:
    made = OwnCertificate(tmp_path / "tls").current("192.0.2.7")
    assert made.names == tuple(own_names("192.0.2.7"))
    assert "192.0.2.7" in made.names
    assert made.self_made


def test_it_is_kept_where_only_this_user_reads_it(tmp_path: Path) -> None:
    made = OwnCertificate(tmp_path / "tls").current("192.0.2.7")
    assert OwnCertificate(tmp_path / "tls").current("192.0.2.7") == made
    modes = {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "tls").iterdir()}
    assert (modes, stat.S_IMODE((tmp_path / "tls").stat().st_mode)) == ({0o600}, 0o700)


def test_another_address_gets_another_certificate_by_the_same_authority(tmp_path: Path) -> None:
    own = OwnCertificate(tmp_path / "tls")
    first, second = own.current("192.0.2.7"), own.current("2001:db8::7")
    assert (first.trusted, "2001:db8::7" in second.names) == (second.trusted, True)
    assert first.pem != second.pem


def test_it_is_renewed_before_its_end_by_the_same_authority(tmp_path: Path) -> None:
    own = OwnCertificate(tmp_path / "tls")
    first = own.current("192.0.2.7")
    old = datetime.now(UTC) - timedelta(days=350)
    authority = (tmp_path / "tls" / "authority.pem").read_bytes()
    (tmp_path / "tls" / "certificate.pem").write_bytes(new_leaf(authority, own_names("192.0.2.7"), old))
    renewed = own.current("192.0.2.7")
    assert renewed.trusted == first.trusted
    assert renewed.expires_at - datetime.now(UTC) > timedelta(days=390)


@pytest.mark.parametrize("lost", ["authority.pem", "certificate.pem"])
def test_a_file_that_cannot_be_read_is_made_again(tmp_path: Path, lost: str) -> None:
    own = OwnCertificate(tmp_path / "tls")
    own.current("192.0.2.7")
    (tmp_path / "tls" / lost).write_bytes(b"rubbish")
    assert own.current("2001:db8::7").self_made


def test_without_a_writable_folder_it_lasts_while_the_agent_runs(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("no folder")
    assert OwnCertificate(tmp_path / "tls").current("192.0.2.7").self_made


def test_the_operators_files_are_read(tmp_path: Path) -> None:
    found = read_operators(*Authority().issue(tmp_path, "proxy.example.org", "192.0.2.7"))
    assert (found.names, found.self_made) == (("192.0.2.7", "proxy.example.org"), False)


def test_each_thing_that_is_wrong_with_them_is_named(tmp_path: Path) -> None:
    chain, key = Authority().issue(tmp_path, "proxy.example.org")
    other = certificate(tmp_path)
    with pytest.raises(ValueError, match="does not belong"):
        read_operators(chain, other.key)
    with pytest.raises(ValueError, match="certificate is no PEM"):
        read_operators(key, key)
    with pytest.raises(ValueError, match="key is no PEM"):
        read_operators(chain, chain)
    with pytest.raises(ValueError, match=r"gone\.pem cannot be read: No such file"):
        read_operators(tmp_path / "gone.pem", key)
    (tmp_path / "huge.pem").write_bytes(b"x" * 1_000_001)
    with pytest.raises(ValueError, match="more than 1000000 bytes"):
        read_operators(tmp_path / "huge.pem", key)


def test_an_encrypted_key_is_refused_with_what_to_do(tmp_path: Path) -> None:
    chain, _ = Authority().issue(tmp_path, "proxy.example.org")
    secret = ec.generate_private_key(ec.SECP256R1())
    sealed = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    with pytest.raises(ValueError, match="encrypted; store it without a password"):
        read_certificate(chain.read_bytes(), sealed)


def test_a_certificate_shows_nobody_its_key(tmp_path: Path) -> None:
    made = OwnCertificate(tmp_path / "tls").current("192.0.2.7")
    assert "PRIVATE KEY" not in repr(made)
    assert "PRIVATE KEY" not in made.report("").model_dump_json()
    assert "PRIVATE KEY" in made.pem


def test_the_report_is_bounded() -> None:
    now, names = datetime.now(UTC), tuple(f"host-{number}.example.org" for number in range(300))
    authority = new_authority("node", now)
    leaf = new_leaf(authority, names, now)
    found = read_certificate(leaf, leaf[leaf.index(b"-----BEGIN PRIVATE") :])
    report = found.report("x" * 1000)
    assert (len(report.names), len(report.problem), len(report.pem) <= 16_000) == (100, 300, True)


def test_only_its_user_may_have_read_a_file_at_any_time(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        OwnCertificate(tmp_path / "tls").current("")
    finally:
        os.umask(before)
    assert all(not file.stat().st_mode & 0o077 for file in (tmp_path / "tls").iterdir())


def test_a_certificate_of_the_authority_is_accepted_by_a_strict_client() -> None:
    now = datetime.now(UTC)
    authority = new_authority("node", now)
    leaf = new_leaf(authority, ("192.0.2.7", "proxy.example.org"), now)
    made, issuer = x509.load_pem_x509_certificates(leaf)
    made.verify_directly_issued_by(issuer)
    store = verification.Store([issuer])
    verifier = (
        verification.PolicyBuilder().store(store).time(now).build_server_verifier(x509.DNSName("proxy.example.org"))
    )
    assert verifier.verify(made, []) == [made, issuer]
