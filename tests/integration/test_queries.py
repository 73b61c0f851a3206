"""The SQL and the schema fit each other."""

from master.db import queries
from tests.services import Database


async def test_postgresql_understands_every_query_on_the_migrated_schema(database: Database):
    refused: dict[str, str] = {}
    async with database.connection() as connection:
        for name, query in queries().items():
            try:
                await connection.prepare(query.sql)
            except Exception as error:  # noqa: BLE001 (all of them are told at once)
                refused[name] = str(error)
    assert refused == {}
    assert len(queries()) > 40
