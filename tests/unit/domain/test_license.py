"""Licence keys are believed only when a known key signed them, and their states follow from the dates alone."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.domain.license.keys import KEYS, BadLicense, read_license
from master.domain.license.state import (
    STAGES,
    grace_until,
    is_later,
    newest,
    refusal_of,
    stage_of,
    state_of,
)
from tests.master.licenses import (
    KID,
    PRIVATE,
    STRANGER,
    forged,
    payload_of,
    public,
    raw_private,
    signed,
    trusted_test_key,
)


@pytest.fixture(autouse=True)
def _trusted() -> Iterator[None]:
    with trusted_test_key():
        yield


def refused(key: str) -> str:
    with pytest.raises(BadLicense) as caught:
        read_license(key)
    assert len(key) < 40 or key[:40] not in str(caught.value)
    return str(caught.value)


def test_a_licence_is_read_with_its_limits() -> None:
    found = read_license(signed(max_nodes=3, sub="Ünïcode & Co"))
    assert (found.customer, found.max_nodes, found.max_proxies, found.signed_by) == ("Ünïcode & Co", 3, None, KID)


def test_a_changed_claim_or_signature_is_refused() -> None:
    head, body, signature = signed(max_nodes=3).split(".")
    other = signed(max_nodes=300).split(".")[1]
    assert "changed" in refused(f"{head}.{other}.{signature}")
    assert "changed" in refused(f"{head}.{body}.{signature[:-4]}AAAA")


def test_a_licence_by_a_stranger_is_refused_under_either_name() -> None:
    assert "changed" in refused(signed(private=STRANGER))
    assert "does not know" in refused(signed(private=STRANGER, kid="theirs"))


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", ""])
def test_a_token_without_a_signature_is_refused(algorithm: str) -> None:
    refused(forged({"alg": algorithm, "kid": KID}, payload_of(signed()), b"") + "x")
    refused(forged({"alg": algorithm, "kid": KID}, payload_of(signed()), b"\0" * 64))


@pytest.mark.parametrize("secret", [public(PRIVATE).encode(), base64.b64decode(public(PRIVATE))], ids=["base64", "raw"])
def test_the_public_key_is_no_shared_secret(secret: bytes) -> None:
    unsigned = forged({"alg": "HS256", "kid": KID}, payload_of(signed()), b"x").rpartition(".")[0]
    digest = hmac.new(secret, unsigned.encode(), hashlib.sha256).digest()
    assert "not signed with EdDSA" in refused(f"{unsigned}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}")


@pytest.mark.parametrize("name", ["jti", "sub", "iat", "nbf", "exp"])
def test_a_claim_that_is_missing_is_refused(name: str) -> None:
    payload = payload_of(signed())
    del payload[name]
    refused(re_signed(payload))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": "soon"},
        {"exp": 1e300},
        {"exp": 5, "nbf": 6},
        {"max_nodes": -1},
        {"max_nodes": "5"},
        {"sub": "a\nb"},
        {"jti": ""},
    ],
)
def test_an_absurd_claim_is_refused_by_name(claims: dict[str, object]) -> None:
    assert any(name in refused(re_signed(payload_of(signed()) | claims)) for name in (*claims, "nbf"))


def re_signed(payload: dict[str, object]) -> str:
    unsigned = forged({"alg": "EdDSA", "kid": KID}, payload, b"x").rpartition(".")[0]
    signature = raw_private().sign(unsigned.encode())
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@given(st.text(max_size=300))
def test_any_other_text_is_refused_without_another_error(text: str) -> None:
    refused(text or "x")


@given(st.dictionaries(st.text(max_size=5), st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists)))
def test_any_other_header_is_refused_without_another_error(header: dict[str, object]) -> None:
    refused(forged(header, payload_of(signed()), b"x" * 64))


def test_states_follow_one_another() -> None:
    found = read_license(signed())
    day = timedelta(days=1)
    moments = [
        (found.valid_from - 2 * day, "not_yet_valid", ""),
        (found.valid_from - timedelta(hours=1), "valid", ""),
        (found.valid_to - 31 * day, "valid", ""),
        (found.valid_to - 30 * day, "valid", "30_days"),
        (found.valid_to - 14 * day, "valid", "14_days"),
        (found.valid_to - 3 * day, "valid", "3_days"),
        (found.valid_to, "grace", "expired"),
        (grace_until(found) - timedelta(seconds=1), "grace", "expired"),
        (grace_until(found), "expired", "grace_over"),
    ]
    assert [(state_of(found, now), stage_of(found, now)) for now, _, _ in moments] == [(a, b) for _, a, b in moments]
    assert grace_until(found) - found.valid_to == 14 * day


def test_the_licence_issued_last_counts() -> None:
    older, newer = read_license(signed(iat=-5, exp=900)), read_license(signed(iat=-1, exp=10, jti="L-2"))
    assert newest([older, newer]) == newest([newer, older]) == newer


@given(st.integers(-400, 400), st.integers(0, 50), st.integers(-50, 50), st.none() | st.integers(0, 60))
def test_nothing_is_refused_that_does_not_grow_and_nothing_before_the_grace_period_ends(
    days: int, present: int, new: int, allowed: int | None
) -> None:
    found = read_license(signed(max_proxies=allowed))
    now = found.valid_from + timedelta(days=days)
    refusal = refusal_of(found, now, "proxies", present=present, new=new)
    over = allowed is not None and present + new > allowed
    in_force = state_of(found, now) not in ("not_yet_valid", "community")
    assert (refusal is not None) == (new > 0 and in_force and (over or state_of(found, now) == "expired"))
    assert refusal_of(found, now, "nodes", present=present, new=0) is None
    assert refusal_of(None, now, "proxies", present=present, new=10**6) is None


def test_stages_are_announced_in_one_direction() -> None:
    assert [is_later(after, before) for before, after in pairwise(STAGES)] == [True] * 5
    assert not is_later("3_days", "expired")


def test_the_shipped_keys_are_two_different_ones() -> None:
    shipped = {kid: key for kid, key in KEYS.items() if kid != KID}
    assert len(set(shipped.values())) == 2
