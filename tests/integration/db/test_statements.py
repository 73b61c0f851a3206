"""The SQL, the schema and the code fit each other."""

import re
from pathlib import Path

import master
from master.db.statements import form_of, numbered, sorts, statements
from tests.services.postgres import Database


async def test_postgresql_understands_every_query_on_the_migrated_schema(database: Database):
    refused: dict[str, str] = {}
    async with database.connection() as connection:
        for name, query in statements().items():
            for form in {query, form_of(query, frozenset(), query.flags), form_of(query, query.optional)}:
                try:
                    await connection.prepare(form.sql)
                except Exception as error:  # noqa: BLE001 (all of them are told at once)
                    refused[name] = f"{error}: {form.sql}"
    assert refused == {}
    assert len(statements()) > 40


def test_every_query_is_used():
    code = "".join(path.read_text() for path in Path(master.__file__).parent.rglob("*.py"))
    names = {re.sub(" by -?[a-z_]+$", " by ", name) for name in statements()}
    assert [name for name in names if f'"{name}' not in code] == []


def test_an_optional_condition_stands_in_the_statement_only_while_its_parameter_is_given():
    source = (
        "SELECT 1 WHERE true AND (:a::text[] IS NULL OR (x = ANY (:a)) IS NOT TRUE) AND (:b::int IS NULL OR y < :b)"
    )
    statement = numbered("one", source)
    assert form_of(statement, frozenset("ab")).sql == "SELECT 1 WHERE true"
    only_b = form_of(statement, frozenset("a"))
    assert (" ".join(only_b.sql.split()), only_b.parameters) == ("SELECT 1 WHERE true AND (y < $1::int)", ("b",))
    assert form_of(statement, frozenset()).sql.count("$1::text[]") == 1


def test_a_flag_stands_in_the_statement_as_its_value():
    statement = numbered("one", "SELECT CASE WHEN :a::boolean THEN x END, CASE WHEN :b::boolean THEN y END, :c::text")
    plain = form_of(statement, frozenset(), frozenset("a"))
    assert plain.sql == "SELECT CASE WHEN true THEN x END, CASE WHEN false THEN y END, $1::text"
    assert plain.parameters == ("c",)


def test_a_sorted_statement_becomes_one_for_each_order():
    text = "-- sort: id\n-- sort: name = key::text\nSELECT {key} WHERE {beyond} ORDER BY {order}"
    found = {suffix: numbered(suffix, sql).sql for suffix, sql in sorts(text)}
    assert list(found) == [" by id", " by -id", " by name", " by -name"]
    assert found[" by -id"] == "SELECT id WHERE ($1::bigint IS NULL OR id < $1) ORDER BY id DESC"
    assert "(key, id) > ($2::text, $1)) ORDER BY key, id" in found[" by name"]
