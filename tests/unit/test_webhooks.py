"""What may be called, how messages are signed, and how long a failing receiver is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.deliveries import MOST_WAIT_S, wait_s
from master.subscriptions import new_secret, signature
from master.targets import is_public, private_literal, target

PRIVATE = (
    "127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 255.255.255.255"
    " 168.63.129.16 ::1 :: fe80::1 fe80::1%eth0 fc00::1 fd00:ec2::254 ff02::1 ::ffff:10.0.0.1 ::10.0.0.1"
    " 64:ff9b::10.0.0.1 64:ff9b:1::808:808 2002:0a00:0001::1"
).split()


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_known_in_every_disguise(address: str):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_a_public_address_may_be_called(address: str):
    assert is_public(address)


def test_a_private_host_is_seen_in_an_address_and_a_name_is_not_judged():
    assert private_literal("http://[::1]:80/x")
    assert not private_literal("http://localhost/")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "ftp://a/",
        "https://",
        "https://u:p@a/",
        "https://a/#f",
        "https://a/ b",
        "https://a:99999/",
        "http://ä/",
    ],
)
def test_what_is_no_address_to_call_is_refused(text: str):
    with pytest.raises(ValueError, match=r"."):
        target(text)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text: str):
    try:
        target(text)
    except ValueError:
        return


def test_a_signature_is_that_of_the_standard():
    """The example of Standard Webhooks' own libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    found = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_is_long_and_its_own():
    assert len(new_secret()) > 40
    assert new_secret() != new_secret()


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_a_failing_receiver_is_tried_again_within_the_hour(failures: int, draw: float):
    assert 0.5 <= wait_s(failures, draw) <= MOST_WAIT_S
