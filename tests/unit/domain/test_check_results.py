"""What the answers of a proxy mean for a check."""

from dataclasses import replace

import pytest

from master.domain.checks.probe import target_of
from master.domain.checks.results import (
    Endpoint,
    ProbeFailure,
    connect_failure,
    exit_ip,
    method_failure,
    reply_failure,
    serves,
)
from master.domain.proxies.proxy_parts import CheckStep
from node.engine.builtin.net import echo_server
from shared import echo

PROXY = Endpoint(
    host="192.0.2.1",
    port=1,
    protocol="mixed",
    tls=False,
    engine="builtin",
    allow_ips=(),
    username="ann",
    password="secret-1",
)


@pytest.mark.parametrize(
    ("status", "body", "step"),
    [
        (200, b"", None),
        (407, b"this proxy wants a user name", "login"),
        (403, b"this proxy does not serve your address", "login"),
        (429, b"all 5 connections of this proxy are in use", "login"),
        (403, b"the destination is private to this host", "destination"),
        (502, b"<html>", "destination"),
    ],
)
def test_an_answer_to_connect_has_its_step(status: int, body: bytes, step: CheckStep | None):
    failure = connect_failure(status, body)
    assert (failure.step if failure else None) == step


def test_a_socks_server_has_its_steps_too():
    assert (method_failure(2), reply_failure(0)) == (None, None)
    assert (method_failure(255) or ProbeFailure("answer", "")).step == "login"
    assert (reply_failure(5) or ProbeFailure("answer", "")).step == "destination"


@pytest.mark.parametrize(
    ("body", "address"),
    [
        (b'{"ip": "192.0.2.1"}', "192.0.2.1"),
        (b"2001:db8::1\n", "2001:db8::1"),
        (b"<html>", None),
        (b'{"ip": 5}', None),
        (b'["192.0.2.1"]', None),
        (b"\xff", None),
    ],
)
def test_an_exit_address_is_read_out_of_json_or_a_bare_answer(body: bytes, address: str | None):
    assert exit_ip(body) == address


def test_a_proxy_is_handed_out_when_it_serves_as_far_as_the_master_can_see():
    closed = replace(PROXY, allow_ips=("10.0.0.0/8",))
    refused, unreached = ProbeFailure("login", "no"), ProbeFailure("destination", "no")
    assert serves(PROXY, None, has_echo=True)
    assert not serves(PROXY, refused, has_echo=True)
    assert serves(closed, refused, has_echo=True)
    assert not serves(PROXY, unreached, has_echo=True)
    assert serves(PROXY, unreached, has_echo=False)
    assert not serves(closed, ProbeFailure("connect", "no"), has_echo=False)
    assert serves(PROXY, ProbeFailure("login", "busy", limited=True), has_echo=True)


def test_an_endpoint_shows_no_password():
    assert "secret-1" not in repr(PROXY)


def test_without_a_target_the_echo_is_asked_that_the_engine_has():
    assert target_of(None).host == echo.ECHO_HOST == echo_server.ECHO_HOST
    assert (target_of("https://[2001:db8::1]/x?y").port, target_of("http://a/x?y").path) == (443, "/x?y")
