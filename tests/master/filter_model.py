"""A filter of proxies as a pure function of what the API shows, and random fleets to try it on."""

import json
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from master.schemas.timestamps import rfc_3339

Row = Mapping[str, Any]

NAMES = ("alpha", "Alpine", "beta", "bet", None, None)
LOGINS = ("ann", "ANTON", "bob", None)
KEYS, VALUES = ("customer", "tier", "a"), ("7", "8", "", "x:y")
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = [BEGAN + timedelta(days=day) for day in range(6)]
CASES: Mapping[str, Callable[[Row, Any], bool]] = {
    "q": lambda row, text: (
        any(str(value or "").lower().startswith(text.lower()) for value in (row["name"], row["username"], row["host"]))
        or str(row["id"]) == text
    ),
    "expires_before": lambda row, at: row["expires_at"] is not None and row["expires_at"] < at,
    "expires_after": lambda row, at: row["expires_at"] is None or row["expires_at"] > at,
    "created_since": lambda row, at: row["created_at"] >= at,
    "updated_since": lambda row, at: row["updated_at"] >= at,
    "quota_from": lambda row, percent: (
        row["quota_limit"] is not None and row["quota_used"] * 100 >= percent * row["quota_limit"]
    ),
    "label": lambda row, terms: all(has_label(row, term) for term in terms),
    "not.label": lambda row, terms: not any(has_label(row, term) for term in terms),
}


def matches(row: Row, filter_: Mapping[str, Any]) -> bool:
    """Whether a proxy matches every member of the filter; names are ids already."""
    return all(matches_member(row, name, value) for name, value in filter_.items())


def matches_member(row: Row, name: str, value: Any) -> bool:
    if name in CASES:
        return CASES[name](row, value)
    return row[name.removeprefix("not.")] not in value if name.startswith("not.") else row[name] in value


def has_label(row: Row, term: str) -> bool:
    key, colon, value = term.partition(":")
    return row["labels"].get(key) == value if colon else key in row["labels"]


async def fill(rows: "asyncpg.Connection[asyncpg.Record]", seed: int, count: int = 40) -> None:
    """Four nodes in two locations, two stacks, and proxies of all kinds, written past the triggers."""
    dice = random.Random(seed)
    await rows.execute("SET session_replication_role = replica")
    await rows.execute("INSERT INTO locations (name) VALUES ('here'), ('there')")
    await rows.execute("INSERT INTO stacks (name, spread, proxy) VALUES ('s1', 'nodes', '{}'), ('s2', 'nodes', '{}')")
    await rows.execute(
        "INSERT INTO nodes (name, ip, location_id, state, challenge_hash, broker_password_hash, revision)"
        " SELECT 'node-' || n, '10.0.' || n || '.1', (ARRAY[1, 2, 2, NULL])[n],"
        " (ARRAY['active', 'active', 'disabled', 'active'])[n], n, 'x', 5 FROM generate_series(1, 4) AS n"
    )
    await rows.execute(
        "INSERT INTO node_status (node_id, online, session, confirmed_rev, reported_at)"
        " SELECT n, n <> 4, 1, 5, now() FROM generate_series(1, 4) AS n"
    )
    await rows.executemany(
        "INSERT INTO proxies (name, node_id, port, protocol, username, password, allow_ips, engine, enabled, labels,"
        " changed_revision, stack_id, created_at, updated_at, expires_at, limits)"
        " VALUES ($1, $2, $3, $4, $5, $6, '{0.0.0.0/0}', $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        [one_proxy(dice, number) for number in range(count)],
    )
    await rows.execute(
        "INSERT INTO proxy_failures (proxy_id, node_id, version, reason, kind)"
        " SELECT id, node_id, version, 'broken', (ARRAY['failed', 'limited', 'expired'])[1 + id % 3]"
        " FROM proxies WHERE id % 4 = 0"
    )
    await rows.execute(
        "INSERT INTO usage_totals (proxy_id, total_bytes, day, day_bytes, month, month_bytes)"
        " SELECT id, id * 25, '2026-01-01', 0, '2026-01-01', 0 FROM proxies WHERE id % 3 <> 0"
    )
    await rows.execute("UPDATE stacks s SET count = (SELECT count(*) FROM proxies WHERE stack_id = s.id)")
    await rows.execute("UPDATE nodes n SET proxy_count = (SELECT count(*) FROM proxies WHERE node_id = n.id)")
    await rows.execute("SET session_replication_role = origin")


def one_proxy(dice: random.Random, number: int) -> tuple[Any, ...]:
    """The columns of a proxy; names differ as they must."""
    name, login = dice.choice(NAMES), dice.choice(LOGINS)
    labels = {key: dice.choice(VALUES) for key in KEYS if dice.random() < 0.5}
    engine = dice.choice(("builtin", "3proxy"))
    expires_at = dice.choice((*MOMENTS, None, None)) if engine == "builtin" else None
    limits = {"expires_at": rfc_3339(expires_at)} if expires_at else {}
    limits |= {"traffic_bytes": 1000} if engine == "builtin" and dice.random() < 0.5 else {}
    return (
        f"{name}{number}" if name else None,
        dice.randint(1, 4),
        20000 + number,
        dice.choice(("http", "socks5", "mixed")),
        login,
        login and "secret",
        engine,
        dice.random() < 0.8,
        json.dumps(labels),
        dice.choice((1, 5, 6)),
        dice.choice((None, 1, 2)),
        dice.choice(MOMENTS),
        dice.choice(MOMENTS),
        expires_at,
        json.dumps(limits),
    )
