"""The views of tokens with a filter: they are complete, and what looks past them is known."""

import re

import asyncpg
import pytest

from master.db.statements import form_of, statements
from tests.services.postgres import Database

SCHEMAS = {"narrowed_label": '{"customer": "7"}', "narrowed_stack": "1", "narrowed_location": "1"}
SEE_EVERYTHING = {
    "events": {"insert", "ends"},
    "license": {"select_all", "now", "count_present"},
    "outcomes": {"select_revisions"},
    "placement": {"lock_some", "select_ids", "lock_nodes", "select_candidates", "port_holder"},
    "proxies": {"insert_removals", "insert_updated_events", "insert_deleted_events", "select_stacks"},
    "rotation": {"start", "is_port_taken"},
    "stacks": {"select_candidates", "insert_created_events"},
    "usage": {"rolled_until"},
    "waiting": {"all_confirmed"},
}
"""Statements that a token with a filter may run and that see everything: to place, lock, count and record. Nobody is
shown what they return."""
WHOLE_SYSTEM = {
    "broker_moves",
    "doctor",
    "enrolment",
    "locations",
    "metrics",
    "nodes",
    "replacement",
    "sync",
    "webhooks",
}
OWN_WORK = {
    *("events.forget", "rotation.end", "rotation.wait"),
    *("usage.fold", "usage.pass_thresholds", "usage.roll_up", "usage.store"),
}
RELATIONS = "SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'v')"

ONE_OF_EACH = """
INSERT INTO locations (name) VALUES ('here');
INSERT INTO nodes (name, ip, location_id, challenge_hash, broker_password_hash) VALUES ('a', '10.0.0.1', 1, 'a', 'h');
INSERT INTO stacks (name, spread, proxy) VALUES ('one', 'nodes', '{"location_ids": [1], "labels": {}}');
INSERT INTO proxies (node_id, port, protocol, allow_ips, stack_id) VALUES (1, 20000, 'http', '{10.0.0.0/8}', 1);
INSERT INTO events (type, actor, proxy_id, stack_id, location_id) VALUES ('proxy.created', 'api', 1, 1, 1);
INSERT INTO links (kind, secret_hash, filter, format, min_interval_s, token_filter)
VALUES ('list', 'x', '{}', 'plain', 0, '{"stack": 1}');
"""


async def names(connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> set[str]:
    return {row["relname"] for row in await connection.fetch(RELATIONS, schema)}


def test_the_statements_that_look_past_a_filter_are_these():
    found = {name for name, one in statements().items() if "public." in one.sql}
    assert found == {f"{file}.{name}" for file, of in SEE_EVERYTHING.items() for name in of}


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_every_table_and_view_has_its_narrowed_form_with_the_same_columns(database: Database, schema: str):
    columns = (
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attname <> 'xmin' ORDER BY attnum"
    )
    async with database.connection() as connection:
        for name in await names(connection, "public"):
            wide, narrow = [await connection.fetch(columns, f"{one}.{name}") for one in ("public", schema)]
            assert narrow == wide, name


@pytest.mark.parametrize(("schema", "setting"), SCHEMAS.items())
async def test_postgresql_understands_every_query_within_a_filter(database: Database, schema: str, setting: str):
    """All but those of the masters' own work, and of routes that are about the whole system."""
    refused: set[str] = set()
    async with database.connection() as connection:
        await connection.execute(f"SET search_path = {schema}, public")
        await connection.execute("SELECT set_config('maybe.narrowed', $1, false)", setting)
        for name, one in statements().items():
            for form in (form_of(one, frozenset(), one.flags), form_of(one, one.optional)):
                try:
                    await connection.prepare(form.sql)
                except asyncpg.PostgresError:
                    refused.add(name)
    assert {name for name in refused if name.partition(".")[0] not in WHOLE_SYSTEM} <= OWN_WORK


async def test_without_a_filter_nothing_can_be_read(database: Database):
    async with database.connection() as connection:
        await connection.execute(ONE_OF_EACH)
        for schema in SCHEMAS:
            for name in ("proxies", "stacks", "nodes", "locations", "events", "links"):
                with pytest.raises((asyncpg.UndefinedObjectError, asyncpg.UndefinedTableError)):
                    await connection.fetch(f"SELECT * FROM {schema}.{name}")


async def test_functions_name_the_schema_of_the_tables_that_they_read(database: Database):
    """A trigger that fires for a token with a filter must find the tables, whatever the search_path is."""
    async with database.connection() as connection:
        relations = "|".join(await names(connection, "public"))
        plain = re.compile(rf"\b(?:FROM|JOIN|UPDATE|INTO)\s+(?:{relations})\b", re.IGNORECASE)
        functions = await connection.fetch(
            "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        )
    found = {row["proname"] for row in functions if plain.search(row["prosrc"])}
    assert found == {"find_events"}  # it is meant to read the log of whoever asks


async def test_a_new_table_is_hidden_and_cannot_be_written(database: Database):
    async with database.connection() as connection:
        await connection.execute("SET search_path = narrowed_stack, public")
        await connection.execute("SET maybe.narrowed = '1'")
        assert await connection.fetch("SELECT * FROM cluster") == []
        with pytest.raises(asyncpg.WithCheckOptionViolationError):
            await connection.execute("INSERT INTO removals (node_id, revision, count) VALUES (1, 1, 1)")
