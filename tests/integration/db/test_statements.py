"""The SQL, the schema and the code fit each other."""

from pathlib import Path

import master
from master.db.statements import statements
from tests.services.postgres import Database


async def test_postgresql_understands_every_query_on_the_migrated_schema(database: Database):
    refused: dict[str, str] = {}
    async with database.connection() as connection:
        for name, query in statements().items():
            try:
                await connection.prepare(query.sql)
            except Exception as error:  # noqa: BLE001 (all of them are told at once)
                refused[name] = str(error)
    assert refused == {}
    assert len(statements()) > 40


def test_every_query_is_used():
    code = "".join(path.read_text() for path in Path(master.__file__).parent.rglob("*.py"))
    assert [name for name in statements() if f'"{name}"' not in code] == []
