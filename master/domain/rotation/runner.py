"""The loop that starts scheduled rotations and carries open ones on, each step by one master."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import timedelta
from functools import partial

import structlog

from master.actors import SCHEDULE, acting
from master.db.background import keep_on
from master.db.constraints import writing
from master.db.database import Database, Row, Session
from master.db.notifications import Notifications
from master.domain.checks.probe import PROBE_S, ProbeTarget, probe, target_of
from master.domain.checks.results import Endpoint, ProbeFailure, serves
from master.domain.rotation import steps as rotation_steps
from master.errors import DatabaseError, RequestRefused
from shared.tasks import wait_for_event

log = structlog.get_logger()

POLL_S = 0.5
QUIET_S = 0.05
"""The pause between two turns, however many reports come."""
MAX_STEPS = 16
MAX_SCHEDULED = 200
CLAIM = timedelta(seconds=PROBE_S + 5)
"""Another master takes over the step of a master that died after so long."""

RotationStep = Callable[[Session], Awaitable[None]]


class RotationRunner:
    """Take up to MAX_STEPS steps at a time, so that a slow probe delays no other rotation."""

    def __init__(self, database: Database, notifications: Notifications, check_target: str | None) -> None:
        """`check_target` is the URL that probes request; by default the echo service of each proxy's own node."""
        self._database, self._notifications, self._url = database, notifications, check_target
        self._target: ProbeTarget = target_of(check_target)
        self._busy = 0
        self._choosing_node = asyncio.Lock()
        """Steps that choose a node wait for each other here, and so without holding a database connection."""

    async def run(self) -> None:
        """Run until cancelled."""
        with self._notifications.reports() as heard:
            async with asyncio.TaskGroup() as group:
                await keep_on(partial(self._turn, group, heard), "rotations")

    async def _turn(self, group: asyncio.TaskGroup, heard: asyncio.Event) -> None:
        await self._take(group, heard)
        await wait_for_event(heard, POLL_S)
        heard.clear()
        await asyncio.sleep(QUIET_S)

    async def _take(self, group: asyncio.TaskGroup, done: asyncio.Event) -> None:
        """Start as many steps as may run now. Raises DatabaseError."""
        async with self._database.session() as session:
            await session.execute("rotation.claim_due", max_rows=MAX_SCHEDULED, actor=SCHEDULE)
            free = MAX_STEPS - self._busy
            steps = await session.rows("rotation.claim_steps", max_rows=free, claim=CLAIM) if free else []
        for step in steps:
            self._busy += 1
            group.create_task(self._run_step(step, done))

    async def _run_step(self, step: Row, done: asyncio.Event) -> None:
        try:
            with acting(step["actor"], step["request_id"]):
                await self._do(step)
        except DatabaseError as error:
            log.warning("rotation.step_postponed", rotation_id=step["id"], step=step["step"], reason=error.reason)
        finally:
            self._busy -= 1
            done.set()

    async def _do(self, step: Row) -> None:
        id_, reason = step["id"], step["reason"]
        match step["step"]:
            case "begin":
                async with self._choosing_node if "node" in step["what"] else nullcontext():
                    await self._begin(id_)
            case "probe":
                await self._probe(id_)
            case "wait":
                await self._write(lambda session: rotation_steps.wait(session, id_))
            case "end":
                await self._write(lambda session: rotation_steps.end(session, id_))
            case _:
                await self._fail(id_, reason)

    async def _begin(self, id_: int) -> None:
        try:
            await self._write(lambda session: rotation_steps.begin(session, id_))
        except RequestRefused as refusal:
            await self._fail(id_, refusal.detail)

    async def _probe(self, id_: int) -> None:
        async with self._database.session() as session:
            row = await session.row("rotation.select_endpoint", id=id_)
        if row is None:
            return
        endpoint = Endpoint(**row)
        result = await probe(endpoint, self._target)
        has_echo = endpoint.engine == "builtin" or self._url is not None
        if serves(endpoint, result.failure, has_echo=has_echo):
            await self._write(lambda session: rotation_steps.succeed(session, id_))
        else:
            await self._fail(id_, failure_text(result.failure))

    async def _fail(self, id_: int, reason: str) -> None:
        log.warning("rotation.failed", rotation_id=id_, reason=reason)
        await self._write(lambda session: rotation_steps.fail(session, id_, reason))

    async def _write(self, step: RotationStep) -> None:
        async with writing(self._database) as session:
            await step(session)


def failure_text(failure: ProbeFailure | None) -> str:
    """Return why the new endpoint is not used."""
    return f"the new endpoint does not serve ({failure.step}): {failure.reason}" if failure else ""
