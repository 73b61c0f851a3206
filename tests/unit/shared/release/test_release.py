"""Versions, keys, signatures and manifests of releases."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.release.keys import RELEASE_KEYS
from shared.release.manifest import MANIFEST_LIMIT, BadManifest, bundle_name, read_manifest
from shared.release.signing import (
    BadKey,
    BadSignature,
    key_id,
    new_key,
    public_key,
    read_private_key,
    read_public_keys,
    sign,
    verify,
)
from shared.release.versions import BadVersion, is_older, version_order

FILE = {
    "name": "maybe-node-0.2.0-thin-cp311-x86_64-gnu.tar.gz",
    "kind": "thin",
    "python": "3.11",
    "machine": "x86_64",
    "libc": "gnu",
    "size": 9_000_000,
    "sha256": "0" * 64,
}
MANIFEST = {
    "format": 1,
    "product": "maybe-node",
    "version": "0.2.0",
    "created_at": "2026-11-30T12:00:00Z",
    "min_upgradable_from": "0.1.0",
    "files": [FILE],
}
NUMBER = st.integers(0, 999_999)


def written(**changes: Any) -> bytes:
    return json.dumps(MANIFEST | changes).encode()


@given(st.tuples(NUMBER, NUMBER, NUMBER), st.tuples(NUMBER, NUMBER, NUMBER))
def test_releases_are_ordered_by_their_numbers(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    assert is_older(".".join(map(str, one)), ".".join(map(str, other))) == (one < other)


def test_a_candidate_is_older_than_its_release_and_newer_than_the_release_before() -> None:
    ordered = ["0.1.9", "0.2.0rc1", "0.2.0rc2", "0.2.0rc10", "0.2.0", "0.10.0", "1.0.0rc0"]
    assert sorted(set(ordered), key=version_order) == ordered


@pytest.mark.parametrize(
    "text",
    ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-rc1", "1.2.3rc", "1.2.3\n", " 1.2.3", "1.2.٣", "../1.2.3", "v1.2.3"],
)
def test_a_text_with_another_form_is_no_version(text: str) -> None:
    with pytest.raises(BadVersion):
        version_order(text)


def test_a_signature_counts_for_the_bytes_that_were_signed() -> None:
    key = new_key()
    line = sign(b"data", key)
    assert verify(b"data", line, [public_key(key)]) == key_id(public_key(key))
    with pytest.raises(BadSignature):
        verify(b"datA", line, [public_key(key)])


def test_a_strangers_signature_does_not_count_even_under_the_id_of_a_trusted_key() -> None:
    key, stranger = new_key(), new_key()
    for line in (sign(b"data", stranger), f"{key_id(public_key(key))} {sign(b'data', stranger).split()[1]}"):
        with pytest.raises(BadSignature, match=key_id(public_key(key))):
            verify(b"data", line, [public_key(key)])


def test_one_valid_signature_among_others_is_enough() -> None:
    keys = [new_key(), new_key()]
    lines = "".join(["nonsense\n", "0000000000000000 AAAA\n", *(sign(b"data", key) for key in keys)])
    assert verify(b"data", lines, [public_key(keys[1])]) == key_id(public_key(keys[1]))


def test_no_trusted_key_means_that_nothing_is_verified() -> None:
    with pytest.raises(BadSignature):
        verify(b"data", sign(b"data", new_key()), [])


@given(st.text(max_size=300))
def test_any_text_as_a_signature_is_refused(text: str) -> None:
    with pytest.raises(BadSignature):
        verify(b"data", text, RELEASE_KEYS)


def test_the_release_keys_are_two_different_keys() -> None:
    assert len({key_id(key) for key in RELEASE_KEYS}) == 2


def test_a_file_of_keys_may_have_comments_and_empty_lines() -> None:
    key = public_key(new_key())
    assert read_public_keys(f"# ours\n\n {key} \n{key}\n") == (key,)


@pytest.mark.parametrize("text", ["AAAA", "not base64!", "key\x00", "ssh-ed25519 AAAAC3Nza"])
def test_a_file_with_something_else_than_keys_is_refused(text: str) -> None:
    with pytest.raises(BadKey):
        read_public_keys(text)


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n", b"\xff"])
def test_a_bad_private_key_is_refused_without_quoting_it(pem: bytes) -> None:
    with pytest.raises(BadKey) as refused:
        read_private_key(pem)
    assert "secret" not in str(refused.value)


def test_a_manifest_is_read_as_it_was_written() -> None:
    manifest = read_manifest(written())
    assert read_manifest(manifest.bytes()) == manifest
    assert json.loads(manifest.bytes()) == MANIFEST
    assert manifest.mtime == datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()


def test_a_manifest_names_the_bundle_of_a_host() -> None:
    manifest = read_manifest(written())
    found = manifest.file_for(python="3.11", machine="x86_64", libc="gnu")
    assert found is not None
    assert found.name == bundle_name("0.2.0", "thin", python="3.11", machine="x86_64", libc="gnu")
    assert manifest.file_for(python="3.12", machine="x86_64", libc="gnu") is None


def test_members_of_later_releases_are_ignored() -> None:
    assert read_manifest(written(notes="new", files=[FILE | {"mirror": "x"}])) == read_manifest(written())


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"format": "1"},
        {"product": "other"},
        {"version": "../0.2.0"},
        {"created_at": "2026-13-30T12:00:00Z"},
        {"created_at": "2026-11-30 12:00:00"},
        {"min_upgradable_from": "0.3.0"},
        {"files": []},
        {"files": [FILE, FILE]},
        {"files": [FILE | {"name": f"a{n}.tar.gz"} for n in range(257)]},
        *(
            {"files": [FILE | {"name": name}]}
            for name in ["../x.tar.gz", "a/b.tar.gz", ".x.tar.gz", "x.tar.gz\n", "-x.tar.gz", "x.zip"]
        ),
        {"files": [FILE | {"size": 0}]},
        {"files": [FILE | {"size": "9"}]},
        {"files": [FILE | {"size": 1 << 40}]},
        {"files": [FILE | {"sha256": "0" * 63}]},
        {"files": [FILE | {"python": None}]},
        {"files": [FILE | {"kind": "full"}]},
        {"files": [FILE | {"machine": "x86_64; rm"}]},
    ],
)
def test_a_manifest_outside_the_format_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadManifest):
        read_manifest(written(**changes))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{",
        b"\xff{}",
        b"[" * 100_000,
        written()[:-1] + b', "version": "0.3.0"}',
        written() + b" " * MANIFEST_LIMIT,
    ],
)
def test_a_file_that_is_no_manifest_is_refused(raw: bytes) -> None:
    with pytest.raises(BadManifest):
        read_manifest(raw)
