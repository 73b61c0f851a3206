"""Invitations: codes, derived challenges, and announcements that nobody without the code can make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.enrolment.challenge import BadChallenge, invitation_code, new_challenge, read_challenge
from shared.enrolment.invitation import (
    ANNOUNCEMENT_LIMIT,
    Announcement,
    BadAnnouncement,
    InvitationSecret,
    announce,
    is_genuine,
    new_nonce,
    node_challenge,
    read_announcement,
    read_invitation,
)

NONCE = "00112233445566778899aabbccddeeff" * 2
KEYS = st.binary(min_size=32, max_size=32)
NONCES = st.binary(min_size=32, max_size=32).map(bytes.hex)
PORTS = st.integers(1, 65535)
IPS = st.none() | st.ip_addresses().map(str)


def invitation(id_: int = 3) -> InvitationSecret:
    return read_invitation(invitation_code(id_, new_challenge()))


VECTOR_CODE = "7-0123-4567-89AB-CDEF-GHJK-MNPQ-RSYQ"


def test_the_derivations_are_the_same_in_every_version():
    known = read_invitation(VECTOR_CODE)
    assert known.key.hex() == "14ca61ab84bbd743f7824d1bfb5223d2639c3e5d592e8a6ee370494625088b09"
    assert node_challenge(known.key, NONCE) == "0Q2G-SVJP-FR92-BBTR-2WJ9-FRCH-ZSYH"


def test_the_wire_form_of_an_announcement_is_the_same_in_every_version():
    known = read_invitation(VECTOR_CODE)
    assert announce(known, NONCE, 3006).model_dump_json(exclude_none=True) == (
        '{"v":1,"invitation":7,"nonce":"' + NONCE + '","port":3006,'
        '"mac":"f7453904803ab1b1b774277e27a8d9bdb8ad562770a2e6d07737dbcc5d649ecc"}'
    )
    with_ip = announce(known, NONCE, 3006, "192.0.2.7")
    assert with_ip.mac == "dfd096c8e8a854ed8aa375581828dafdc27dd29e30b1d3e64b30efea0def1144"


@given(key=KEYS, nonce=NONCES)
def test_every_derived_challenge_can_be_read_like_one_that_was_drawn(key: bytes, nonce: str):
    assert len(read_challenge(node_challenge(key, nonce))) == 26


@given(key=KEYS, nonces=st.lists(NONCES, min_size=2, max_size=2, unique=True))
def test_two_nonces_have_two_challenges(key: bytes, nonces: list[str]):
    assert node_challenge(key, nonces[0]) != node_challenge(key, nonces[1])


@given(id_=st.integers(1, 10**18 - 1))
def test_a_code_is_read_however_a_person_types_it(id_: int):
    code = invitation_code(id_, new_challenge())
    typed = code[: len(str(id_)) + 1] + code[len(str(id_)) + 1 :].replace("-", " ").lower()
    assert read_invitation(f" {typed}\n") == read_invitation(code)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "7",
        "-",
        "7-",
        "0-7KQ2",
        "x-7KQ2",
        "7-7KQ2-M0XA",
        VECTOR_CODE.replace("7-", "007-", 1),
        "9" * 30 + "-A",
        "٣-A",
    ],
)
def test_what_is_no_code_is_refused_without_repeating_it(code: str):
    with pytest.raises(BadChallenge) as caught:
        read_invitation(code)
    assert len(code) < 5 or code not in str(caught.value)


def test_a_code_with_a_typing_mistake_is_refused():
    code = invitation_code(3, new_challenge())
    with pytest.raises(BadChallenge, match="mistyped"):
        read_invitation(code[:-1] + ("0" if code[-1] != "0" else "1"))


@given(nonce=NONCES, port=PORTS, ip=IPS)
def test_an_announcement_is_genuine_after_the_wire(nonce: str, port: int, ip: str | None):
    mine = invitation()
    made = announce(mine, nonce, port, ip)
    body = made.model_dump_json(exclude_none=True).encode()
    assert len(body) <= ANNOUNCEMENT_LIMIT
    assert read_announcement(body) == made
    assert is_genuine(made, mine.key)


@given(
    change=st.one_of(
        st.tuples(st.just("invitation"), st.integers(1, 10**18)),
        st.tuples(st.just("nonce"), NONCES),
        st.tuples(st.just("port"), PORTS),
        st.tuples(st.just("ip"), IPS),
        st.tuples(st.just("mac"), NONCES),
    )
)
def test_no_member_of_an_announcement_can_be_changed(change: tuple[str, object]):
    mine = invitation()
    made = announce(mine, NONCE, 3006, "192.0.2.7")
    changed = made.model_copy(update=dict([change]))
    assert is_genuine(changed, mine.key) == (changed == made)


def test_an_announcement_of_another_invitation_is_not_genuine():
    assert not is_genuine(announce(invitation(), new_nonce(), 3006), invitation().key)


def test_nothing_that_travels_holds_the_secret_or_the_challenge():
    code = invitation_code(3, new_challenge())
    mine = read_invitation(code)
    nonce = new_nonce()
    wire = announce(mine, nonce, 3006).model_dump_json()
    secrets = (code, code[2:], node_challenge(mine.key, nonce), mine.key.hex())
    assert not [each for each in secrets if each in wire or each in repr(mine)]


@given(body=st.binary(max_size=ANNOUNCEMENT_LIMIT + 10))
def test_no_bytes_make_the_reader_fail_otherwise(body: bytes):
    with pytest.raises(BadAnnouncement):
        read_announcement(body)


GOOD = announce(invitation(), NONCE, 3006).model_dump(exclude_none=True)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": "1"},
        {"invitation": "3"},
        {"invitation": 0},
        {"invitation": 2**63},
        {"invitation": True},
        {"port": 0},
        {"port": 65536},
        {"port": 3006.5},
        {"nonce": NONCE.upper()},
        {"nonce": NONCE[:-1]},
        {"nonce": NONCE + "\n"},
        {"mac": ""},
        {"ip": "master.example"},
        {"ip": "fe80::1%eth0"},
        {"ip": 7},
        {"more": 1},
    ],
)
def test_an_announcement_with_a_wrong_member_is_refused(change: dict[str, object]):
    with pytest.raises(ValidationError):
        Announcement.model_validate_json(str({**GOOD, **change}).replace("'", '"').replace("True", "true"))


@pytest.mark.parametrize("body", [b"[" * 1000, b"{}", b"null", b'{"v":1}', b"\xff", b" " * 1025])
def test_a_body_that_is_no_announcement_is_refused(body: bytes):
    with pytest.raises(BadAnnouncement):
        read_announcement(body)
