"""What may be called, how messages are signed, and how long a failing receiver is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.domain.webhooks.callback_urls import private_literal, target
from master.domain.webhooks.delivery import MAX_RETRY_DELAY_S, retry_delay_s
from master.domain.webhooks.signing import new_secret, signature


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "240.0.0.1", "198.18.0.1", "[::1]", "[::ffff:10.0.0.1]", "[2002:a00:1::1]"]
)
def test_a_private_address_is_known_in_every_disguise(host: str):
    assert private_literal(f"https://{host}/x")


@pytest.mark.parametrize("host", ["8.8.8.8", "[2606:4700::1111]", "[::ffff:8.8.8.8]", "[64:ff9b::8.8.8.8]"])
def test_a_public_address_may_be_called(host: str):
    assert not private_literal(f"https://{host}/x")


def test_a_name_is_not_judged_before_it_is_looked_up():
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
    assert 0.5 <= retry_delay_s(failures, draw) <= MAX_RETRY_DELAY_S
