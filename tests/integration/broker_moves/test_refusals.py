"""What POST /system/broker refuses, before any master or node is told of the new place."""

from dataclasses import replace
from typing import Any

import pytest

from tests.integration.conftest import Api
from tests.services.rabbitmq import Vhost


def body(vhost: Vhost) -> dict[str, Any]:
    return {"amqp_urls": [vhost.amqp_url], "management_urls": [vhost.management_url]}


def at(vhost: Vhost, **more: Any) -> Vhost:
    return replace(vhost.in_clear(), **more)


@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        ({"port": 1}, "/amqp_urls/0", "1"),
        ({"password": "wrong"}, "/management_urls", "refuses the login"),
        ({"name": "nowhere"}, "/amqp_urls", "no virtual host 'nowhere'"),
        ({"management_url": "http://127.0.0.1:1"}, "/management_urls", "does not answer"),
    ],
)
async def test_a_place_that_the_master_cannot_use_is_refused(
    api: Api, vhost: Vhost, changes: dict[str, Any], pointer: str, words: str
):
    refused = await api.call("POST", "/system/broker", 422, json=body(at(vhost, **changes)))
    (error,) = refused["errors"]
    assert pointer.startswith(error["pointer"])
    assert words in error["detail"]
    assert vhost.password not in str(refused)
    assert await api.rows.fetchval("SELECT count(*) FROM broker_links") == 0


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({}, ""),
        ({"amqp_urls": ["amqp://h/?no_verify_ssl=1"]}, "/amqp_urls"),
        ({"amqp_urls": ["http://h/"]}, "/amqp_urls"),
        ({"amqp_urls": ["amqp://h/", "amqp://i/v"]}, "/amqp_urls"),
        ({"node_amqp_urls": ["amqp://user:word@h/"]}, "/node_amqp_urls"),
        ({"management_urls": ["ftp://h/"]}, "/management_urls"),
        ({"ca": "no certificate"}, "/ca"),
    ],
)
async def test_addresses_that_nobody_could_read_are_refused(api: Api, changes: dict[str, Any], pointer: str):
    refused = await api.call("POST", "/system/broker", 422, json=changes)
    assert [error["pointer"] for error in refused["errors"]] == [pointer]


async def test_a_dry_run_tries_the_place_and_starts_nothing(api: Api, vhost: Vhost):
    tried = await api.call("POST", "/system/broker?dry_run=true", 200, json=body(vhost))
    assert tried["events"] == {"broker.move_started": 1}
    refused = await api.call("POST", "/system/broker?dry_run=true", 422, json=body(at(vhost, password="wrong")))
    assert refused["status"] == 422
    shown = await api.call("GET", "/system/broker", 200)
    assert (shown["link"]["rev"], shown["move"]) == (0, None)
    for path in ("finish", "abort"):
        assert (await api.call("POST", f"/system/broker/{path}", 409))["type"] == "/problems/no-broker-move"
