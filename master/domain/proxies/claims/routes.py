"""/proxies/claim"""

from litestar import Response, post
from litestar.params import JSONBody

from master.api.dependencies import Injected
from master.api.names import with_ids
from master.api.openapi.route_docs import NOT_YET, documented
from master.api.responses import respond
from master.api.writes.idempotency import IdempotencyKey, StoredResponse, once, replay, stored_response
from master.api.writes.outcomes import WriteOutcome
from master.api.writes.waiting import Preference
from master.db.database import Database, Session
from master.domain.proxies.claims import service as claims
from master.domain.proxies.claims.schemas import ClaimedProxies, ClaimRequest
from master.errors import TooFewProxies
from master.schemas.dry_run import TimedWrite


@post(
    "/proxies/claim",
    status_code=200,
    summary="Claim proxies that nobody has yet",
    opt=documented(answers={200: "The proxies that were claimed.", 202: NOT_YET}, problems=(TooFewProxies,)),
)
async def claim_proxies(
    data: JSONBody[ClaimRequest],
    database: Injected[Database],
    parameters: Injected[TimedWrite],
    idempotency_key: Injected[IdempotencyKey],
    preference: Injected[Preference],
) -> Response[ClaimedProxies]:
    """Give the labels to `count` proxies that match the filter and have none of these keys yet, in one transaction.

    They are enabled and running, or else pending, in order of their ids. Two claims at the same time never get the same
    proxy. If fewer are free, none is claimed: the 409 problem gives `wanted` and `possible`, their numbers.
    """
    outcomes: list[WriteOutcome] = []

    async def act(session: Session) -> StoredResponse:
        outcome = await claims.claim(session, await with_ids(session, data), allow_past=parameters.allow_past)
        outcomes.append(outcome)
        return stored_response(ClaimedProxies(items=await claims.claimed(session, outcome)), 200)

    stored, is_repeated = await once(database, idempotency_key.of(data), act)
    if is_repeated or preference.wait_s is None:
        return replay(stored, is_repeated=is_repeated)
    return await settled(database, preference, outcomes[0])


async def settled(database: Database, preference: Preference, outcome: WriteOutcome) -> Response[ClaimedProxies]:
    """Answer with the proxies once their nodes have confirmed the change; with 202 when the time is over before."""
    is_confirmed = await preference.is_confirmed(outcome)
    async with database.session() as session:
        items = await claims.claimed(session, outcome)
    return respond(ClaimedProxies(items=items), 200 if is_confirmed else 202, preference.headers)


handlers = [claim_proxies]
