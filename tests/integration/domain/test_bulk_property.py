"""A change by filter does to each proxy what a change of that proxy alone does, over random fleets and changes."""

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from master.db.database import Database, Session
from master.domain.proxies import creation, fleets, service
from master.domain.proxies.schemas import FleetFilter, FleetPatch, NewProxy, ProxyPatch
from master.errors import RequestRefused
from tests.services.postgres import Database as Address

PROXIES = 9
CHANGES = 8
PARTS: dict[str, list[Any]] = {
    "protocol": ["http", "socks5", "mixed"],
    "username": [None, "ann", "bob"],
    "password": ["secret", "other"],
    "allow_ips": [[], ["10.0.0.0/8"]],
    "engine": ["builtin", "builtin", "builtin", "3proxy"],
    "exit": [
        {"mode": "default"},
        {"mode": "address", "address": "10.0.0.9"},
        {"mode": "ipv6_session", "session_ttl_s": 60},
        {"mode": "ipv6_random"},
    ],
    "limits": [{}, {"connections": 5}, {"traffic_bytes": 9, "traffic_period": "day"}, {"bandwidth_bps": 9_000}],
    "destinations": [{}, {"deny_ports": [25]}, {"deny_hosts": ["example.com"]}],
    "rotation": [{}, {"every_s": 600, "what": ["credentials"]}, {"every_s": 60, "jitter_s": 5, "what": ["port"]}],
    "enabled": [True, True, False],
    "labels": [{}, {"a": "1"}, {"a": "2", "b": "1"}],
}
RESETS: dict[str, list[Any]] = {
    "exit": [None, {"session_ttl_s": None}],
    "limits": [None, {"connections": None, "expires_at": "2999-01-01T00:00:00Z"}, {"traffic_bytes": None}],
    "destinations": [None, {"deny_ports": []}],
    "rotation": [None, {"jitter_s": None}],
    "labels": [{"a": None}, {"b": None, "c": "3"}],
}
NODES = (
    "INSERT INTO locations (name) VALUES ('here')",
    "INSERT INTO nodes (name, ip, location_id, engines, exit_addresses, ipv6_prefixes, challenge_hash,"
    " broker_password_hash) VALUES"
    """ ('a', '10.0.0.1', 1, '{"builtin": "1", "3proxy": "1"}', '{10.0.0.9}', '{2001:db8::/64}', 'a', 'h'),"""
    """ ('b', '10.0.0.2', NULL, '{"builtin": "1"}', '{10.0.0.9}', '{2001:db8::/64}', 'b', 'h'),"""
    """ ('c', '10.0.0.3', 1, '{"builtin": "1", "3proxy": "1"}', '{}', '{}', 'c', 'h')""",
)
ROTATING = (
    "INSERT INTO endpoints (proxy_id, rotation_id, node_id, port, exit, role)"
    " SELECT id, 1, node_id, 29999, '{}', 'next' FROM proxies ORDER BY id LIMIT 1"
)
TRACES = (
    "SELECT id, name, port, port_requested, protocol, username, length(password) AS password, allow_ips, engine,"
    " enabled, labels, exit, limits, destinations, version, stack_id FROM proxies ORDER BY id",
    "SELECT proxy_id, every_s, jitter_s, what, overlap_s FROM schedules ORDER BY proxy_id",
    "SELECT node_id, sum(count) FROM removals GROUP BY node_id ORDER BY node_id",
    "SELECT type, proxy_id, node_id, stack_id, location_id, details FROM events ORDER BY id",
    "SELECT proxy_id, name, node_id, ip, port, username, exit_mode, exit_address, exit_prefix, until IS NULL"
    " FROM endpoint_history WHERE until IS NULL OR since < until ORDER BY 1, 4, 5, 6, 7, 8, 9, 10",
)

Outcome = list[Any] | str


class Undone(Exception):
    """Rolls a transaction back."""


def some(draw: random.Random, likely: float, *pools: dict[str, list[Any]]) -> dict[str, Any]:
    """Some of the members, each with one of its values."""
    values = {name: [value for pool in pools for value in pool.get(name, [])] for name in PARTS}
    return {name: draw.choice(of) for name, of in values.items() if draw.random() < likely}


async def fill(rows: Database, draw: random.Random) -> list[int]:
    """Make the fleet; return its ids."""
    ids: list[int] = []
    while len(ids) < PROXIES:
        body = NewProxy.model_validate({"node_ids": [draw.choice((1, 2, 3))], **some(draw, 0.4, PARTS)})
        with suppress(RequestRefused):
            async with rows.transaction() as session:
                ids.append((await creation.create(session, body)).id)
    return ids


async def outcome(rows: Database, act: Callable[[Session], Awaitable[object]]) -> Outcome:
    """What the act leaves behind, or why it is refused; then all is as before."""
    found: list[Any] = []
    try:
        async with rows.transaction() as session:
            await act(session)
            found += [[tuple(row) for row in await session._connection.fetch(trace)] for trace in TRACES]
            raise Undone
    except Undone:
        return found
    except RequestRefused as refused:
        return f"{type(refused).__name__}: {refused.detail}"


async def changed_together(rows: Database, body: dict[str, Any]) -> Outcome:
    fleet = FleetFilter.model_validate({"all": True, "expect": PROXIES})
    return await outcome(rows, lambda session: fleets.change_fleet(session, fleet, FleetPatch.model_validate(body)))


async def changed_singly(rows: Database, body: dict[str, Any], ids: list[int]) -> Outcome:
    async def act(session: Session) -> None:
        for id_ in ids:
            await service.change(session, id_, ProxyPatch.model_validate(body))

    return await outcome(rows, act)


@pytest.mark.parametrize("seed", range(3))
async def test_changing_together_is_changing_each(database: Address, rows: Database, seed: int):
    draw = random.Random(seed)
    async with database.connection() as direct:
        for statement in NODES:
            await direct.execute(statement)
        ids = await fill(rows, draw)
        await direct.execute("UPDATE nodes SET state = 'disabled' WHERE id = 3")
        if seed % 2:
            await direct.execute(ROTATING)
    for _ in range(CHANGES):
        body = some(draw, 0.2, PARTS, RESETS)
        together = await changed_together(rows, body)
        if isinstance(together, str):
            alone = [await changed_singly(rows, body, [id_]) for id_ in ids]
            refusals = [one for one in alone if isinstance(one, str)]
            assert refusals, (body, together)
            assert together.partition(":")[0] in {one.partition(":")[0] for one in refusals}
            if together.startswith("Invalid"):
                assert together == next(one for one in refusals if one.startswith("Invalid"))
        else:
            assert together == await changed_singly(rows, body, ids), body
