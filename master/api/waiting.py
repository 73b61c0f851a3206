"""What writes of proxies and of stacks have alike: what they tell of themselves, and answers that wait for nodes."""

from typing import Any

from litestar import Response
from pydantic import BaseModel

from master.api.dependencies import Wiring
from master.api.encoding import empty
from master.api.openapi.route_docs import IDEMPOTENCY_KEY, IF_MATCH, PREFER, RouteDocs, documented
from master.api.outcomes import WriteOutcome
from master.api.requests.reading import ApiRequest, read_wait
from master.errors import (
    EngineMissing,
    ExitMissing,
    InsufficientCapacity,
    NameTaken,
    PreconditionFailed,
    Reported,
    RotationUnderWay,
)
from master.schemas.dry_run import DryRunnable, TimedWrite

CHANGED = (EngineMissing, ExitMissing, RotationUnderWay)
"""Problems of a change of one proxy, or of many."""
NOT_YET = "Done in the database, but not confirmed by the nodes in time"
REMOVED = documented(
    query=DryRunnable,
    answers={204: None, 202: None},
    headers=(IF_MATCH, PREFER),
    gives=("Preference-Applied",),
    problems=(PreconditionFailed,),
    words={202: NOT_YET},
)


def creates(body: type[BaseModel], thing: type[BaseModel], *problems: type[Reported]) -> dict[str, RouteDocs]:
    """What a route tells that makes this thing."""
    return documented(
        query=TimedWrite,
        body=body,
        answers={201: thing, 202: thing},
        headers=(PREFER, IDEMPOTENCY_KEY),
        gives=("ETag", "Location", "Preference-Applied", "Idempotency-Replayed"),
        problems=(NameTaken, InsufficientCapacity, *problems),
        words={202: NOT_YET},
    )


def changes(body: type[BaseModel], thing: type[BaseModel], *problems: type[Reported]) -> dict[str, RouteDocs]:
    """What a route tells that changes this thing."""
    return documented(
        query=TimedWrite,
        body=body,
        answers={200: thing, 202: thing},
        headers=(IF_MATCH, PREFER),
        gives=("ETag", "Preference-Applied"),
        problems=(PreconditionFailed, *CHANGED, NameTaken, *problems),
        words={202: NOT_YET},
    )


def etag(version: int) -> dict[str, str]:
    """The version as a strong tag."""
    return {"ETag": f'"{version}"'}


def wait_of(request: ApiRequest) -> int | None:
    """Seconds that the asker would wait."""
    return read_wait(request.headers.get("prefer"))


async def confirmed(wiring: Wiring, wait_s: int, query: str, **parameters: object) -> bool:
    """Whether a query came true in so many seconds; no connection is held meanwhile."""

    async def check() -> bool:
        async with wiring.database.session() as session:
            return bool(await session.value(query, **parameters))

    return await wiring.waiter.until(check, wait_s)


def preference_applied(wait_s: int) -> dict[str, str]:
    """Says that the preference was honoured."""
    return {"Preference-Applied": f"wait={wait_s}"}


async def wait_for_nodes(request: ApiRequest, wiring: Wiring, outcome: WriteOutcome) -> tuple[bool, dict[str, str]]:
    """Whether the nodes have confirmed a write, when the asker would wait for it; and the header that says so."""
    wait_s = wait_of(request)
    if wait_s is None:
        return True, {}
    ids, revisions = list(outcome.revisions), list(outcome.revisions.values())
    done = await confirmed(wiring, wait_s, "waiting.all_confirmed", ids=ids, revisions=revisions)
    return done, preference_applied(wait_s)


async def removed_response(request: ApiRequest, wiring: Wiring, outcome: WriteOutcome) -> Response[Any]:
    """The answer to a removal."""
    done, headers = await wait_for_nodes(request, wiring, outcome)
    return empty(204 if done else 202, headers)
