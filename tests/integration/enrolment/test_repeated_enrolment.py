"""A node that is enrolled twice in a row ends with the login that the broker has, whatever comes in between."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from master.tls import trusted
from node.enrolment.membership import Membership
from node.settings import Settings, read_settings
from node.state.identity import Identity, read_identity
from shared.enrolment.bodies import Box, HelloAnswer, NodeConfig
from shared.enrolment.handshake import MasterHandshake
from tests.master.waiting_node import listens
from tests.services.ports import HOST, PortBlock

LIMIT_S = 20


class Enrolling:
    """A master's handshake, one step at a time."""

    def __init__(self, http: httpx.AsyncClient, challenge: str) -> None:
        self._http, self._handshake = http, MasterHandshake(challenge)

    async def hello(self) -> None:
        answer = await self._http.post("/enrol/hello", json=self._handshake.hello.model_dump())
        self._handshake.read_answer(HelloAnswer.model_validate_json(answer.content))

    async def configure(self, password: str) -> None:
        url = f"amqp://node-1:{password}@{HOST}:5672/"
        config = NodeConfig.model_validate(
            {"node_id": 1, "name": "n", "cluster": "c", "amqp_urls": [url], "queue": "q"}
        )
        answer = await self._http.post("/enrol/config", json=self._handshake.config(config).model_dump())
        self._handshake.read_confirmation(Box.model_validate_json(answer.content), config)


def password_on_disk(settings: Settings) -> str | None:
    """The password of an identity whose challenge is spent."""
    found = read_identity(settings.identity_file)
    return urlsplit(found.config.amqp_urls[0].get_secret_value()).password if found and not found.challenge else None


async def test_a_login_between_two_configurations_does_not_keep_the_first_one(tmp_path: Path, block: PortBlock) -> None:
    port = block.port(4)
    environment = {"NODE_DATA_DIR": str(tmp_path), "NODE_ENROL_HOST": HOST, "NODE_ENROL_PORT": str(port)}
    settings, tried = read_settings(environment), asyncio.Queue[Identity]()
    membership = Membership(settings, {"builtin": "1"})

    async def work(identity: Identity) -> None:
        tried.put_nowait(identity)
        await asyncio.Event().wait()

    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
        running = group.create_task(membership.run(work))
        await listens(port)
        assert membership.challenge is not None
        challenge = membership.challenge.challenge
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", verify=trusted(), trust_env=False) as http:
            first, second = Enrolling(http, challenge), Enrolling(http, challenge)
            await first.hello()
            await first.configure("one")
            old = await tried.get()
            await second.hello()
            await membership.prove(old.config)
            await asyncio.sleep(0)
            await second.configure("two")
            new = await tried.get()
            await membership.prove(old.config)
            await membership.prove(new.config)
        while password_on_disk(settings) is None:
            await asyncio.sleep(0.02)
        running.cancel()
    assert password_on_disk(settings) == "two"
