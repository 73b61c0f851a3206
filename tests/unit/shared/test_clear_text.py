"""Addresses whose connections others can read."""

import pytest

from shared.bus.clear_text import in_clear_text


@pytest.mark.parametrize(
    "url",
    [
        "amqp://u:p@localhost:5672/",
        "amqp://127.3.2.1/v",
        "amqp://[::1]:5672/",
        "amqps://broker.example/",
        "https://broker.example:15671",
        "http://rabbit.localhost:15672",
    ],
)
def test_encrypted_links_and_those_within_the_host_are_fine(url: str):
    assert in_clear_text([url]) == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://u:p@broker:5672/v", "amqp://broker:5672"),
        ("amqp://10.0.0.7", "amqp://10.0.0.7"),
        ("http://u:p@[2001:db8::1]:15672", "http://[2001:db8::1]:15672"),
        ("amqp://localhost.example/", "amqp://localhost.example"),
    ],
)
def test_any_other_link_is_named_once_and_without_its_login(url: str, shown: str):
    assert in_clear_text([url, url]) == [shown]
