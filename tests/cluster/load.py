"""Random changes as fast as they are answered, by clients that survive the death of a master."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.cluster.cluster import succeeded

PAUSE_S = 0.05
MORE_S = 60.0


@dataclass
class Load:
    """Makes changes while its context is entered. `living` are ids of created proxies that nobody tried to delete."""

    clients: Sequence[httpx.AsyncClient]
    dice: random.Random
    node_ids: Sequence[int] | None = None
    most: int = 25
    living: set[int] = field(default_factory=set[int])
    answered: int = 0
    task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Load":
        self.group = asyncio.TaskGroup()
        await self.group.__aenter__()
        self.task = self.group.create_task(self._run())
        return self

    async def __aexit__(self, *error: Any) -> None:
        assert self.task
        self.task.cancel()
        await self.group.__aexit__(*error)

    async def more(self, count: int) -> None:
        """Wait until `count` more changes were answered. Raises TimeoutError."""
        goal = self.answered + count
        async with asyncio.timeout(MORE_S + count):
            while self.answered < goal:
                await asyncio.sleep(0.01)

    async def _run(self) -> None:
        while True:
            try:
                await self._change(self.dice.choice(self.clients))
                self.answered += 1
            except httpx.TransportError:
                await asyncio.sleep(PAUSE_S)

    async def _change(self, api: httpx.AsyncClient) -> None:
        roll, living = self.dice.random(), sorted(self.living)
        if not living or (roll < 0.4 and len(living) < self.most):
            await self._create(api)
        elif roll < 0.7:
            change = {"password": f"drawn-{self.dice.randrange(10**9)}"}
            self._heed(await api.patch(f"/proxies/{self.dice.choice(living)}", json=change))
        else:
            doomed = self.dice.choice(living)
            self.living.discard(doomed)
            self._heed(await api.delete(f"/proxies/{doomed}"))

    async def _create(self, api: httpx.AsyncClient) -> None:
        where = {"node_ids": list(self.node_ids)} if self.node_ids else {"location_id": 1}
        answer = self._heed(await api.post("/proxies", json=where))
        if answer.is_success:
            self.living.add(answer.json()["id"])

    def _heed(self, answer: httpx.Response) -> httpx.Response:
        """Accept a success, or 503 for an unreachable database. Raises ProgramError."""
        return answer if answer.status_code == 503 else succeeded(answer)
