"""The API over a database with something in it, behind a real server, and kinds of tokens for it."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, Phase
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from master.api.openapi import pages
from master.asgi import create_app
from master.db.database import Database
from master.db.notifications import Notifications
from master.domain.events.stream import EventStream
from master.domain.stacks.schemas import StackProxy
from master.domain.stacks.template import template_from
from master.domain.webhooks.delivery import DeliveryRunner
from master.schemas.access import FLEET_SCOPES, SCOPES, Access, TokenFilter
from master.schemas.token_format import PREFIX, RANDOM, token_hash, with_check_digits
from tests.integration.conftest import Enroller, Syncer
from tests.master.dependencies import api_parts
from tests.services.postgres import Database as Address

PASSWORD = "unmistakable-password"
TOKENS: dict[str, Access | None] = {
    "admin": Access(scopes=frozenset({"admin"}), token_id=1001),
    "reader": Access(scopes=frozenset({"read"}), token_id=1002),
    "worker": Access(scopes=frozenset(SCOPES) - {"admin", "secrets"}, token_id=1003),
    "shop": Access(scopes=FLEET_SCOPES, token_id=1004, filter=TokenFilter(label="customer:7")),
    "revoked": None,
}
"""Kinds of tokens, with ids that no request is likely to hit; each has the text `text_of` its name."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
PROFILE = {
    "database": None,
    "deadline": None,
    "derandomize": True,
    "phases": (Phase.generate,),
    "suppress_health_check": list(HealthCheck),
}


class Served(uvicorn.Server):
    """Runs in a thread, which gets no signals."""

    def install_signal_handlers(self) -> None:
        """Catch nothing."""


@cache
def text_of(kind: str) -> str:
    """The text of a kind of token."""
    return with_check_digits(PREFIX + sha256(kind.encode()).hexdigest()[:RANDOM])


def bearer(kind: str) -> dict[str, str]:
    """The header of a kind of token."""
    return {"Authorization": f"Bearer {text_of(kind)}"}


@pytest.fixture
def base_url(database: Address) -> Iterator[str]:
    """The API over a real database, behind a real server."""
    rows = Database(database.connect)
    app = create_app(
        api_parts(
            rows,
            enroller=Enroller(),
            notifications=Notifications(rows, lambda: None, lambda: None, lambda _: None),
            syncer=Syncer(),
            event_stream=EventStream(rows),
            deliveries=DeliveryRunner(rows, allow_private=False),
        )
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = Served(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))

    async def serve() -> None:
        await filled(database)
        await server.serve(sockets=[listener])
        await rows.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


async def filled(database: Address) -> None:
    """Something to find under the first ids."""
    async with database.connection() as connection:
        for kind, access in TOKENS.items():
            if access is not None:
                await connection.execute(
                    "INSERT INTO tokens (id, name, hash, scopes, filter, created_by) OVERRIDING SYSTEM VALUE"
                    " VALUES ($1, $2, $3, $4, $5, 'test')",
                    access.token_id,
                    kind,
                    token_hash(text_of(kind)),
                    sorted(access.scopes),
                    access.filter.model_dump_json() if access.filter is not None else None,
                )
        await connection.execute("INSERT INTO locations (name) VALUES ('here'), ('there')")
        await connection.execute(
            "INSERT INTO nodes (name, ip, location_id, engines, challenge_hash, broker_password_hash)"
            " SELECT 'n' || i, '10.0.0.' || i, 1, '{\"builtin\": \"1\"}', i, 'h' FROM generate_series(1, 2) i"
        )
        await connection.execute(
            "INSERT INTO proxies (node_id, port, protocol, username, password)"
            " SELECT 1, 20000 + i, 'http', 'u', $1 FROM generate_series(1, 9) i",
            PASSWORD,
        )
        template = json.dumps(template_from(StackProxy(location_id=1)))
        await connection.execute(
            "INSERT INTO stacks (name, spread, proxy) SELECT i, 'nodes', $1 FROM generate_series(1, 2) i", template
        )
        await connection.execute(
            "INSERT INTO proxies (stack_id, node_id, port, protocol, username, password)"
            " SELECT 1, 1, 20010 + i, 'http', 'u', $1 FROM generate_series(1, 3) i",
            PASSWORD,
        )


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = create_app(api_parts(Database({})))
    return json.loads(pages.document_of(app))
