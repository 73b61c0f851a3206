"""Claim proxies that nobody has yet."""

from collections.abc import Sequence
from typing import Any

from master.api.writes.outcomes import WriteOutcome
from master.db.database import Row, Session
from master.domain.proxies.bulk_changes import change_proxies
from master.domain.proxies.changes import ChangeRule
from master.domain.proxies.claims.schemas import MAX_CLAIMED, ClaimRequest
from master.domain.proxies.schemas import Proxy, ProxyFilter, ProxyList
from master.domain.proxies.service import page
from master.domain.proxies.settings import patched_settings, random_login
from master.errors import Conflict, TooFewProxies
from master.schemas.filters import filter_parameters
from shared.proxies import ProxyId

TRIES = 100
"""A try fails only when another write has taken proxies meanwhile, so one of so many at the same time succeeds."""


class OvertakenError(Exception):
    """Another write was quicker: it has taken some of the proxies that were free before."""


async def claim(session: Session, body: ClaimRequest, *, allow_past: bool = False) -> WriteOutcome:
    """Give the labels to as many free proxies as the body asks for. Raises TooFewProxies, Conflict, Invalid."""
    for _ in range(TRIES):
        candidates = await select_free(session, body)
        if len(candidates) < body.count:
            detail = f"{body.count} proxies were wanted, and {len(candidates)} that match are free"
            raise TooFewProxies(detail, {"wanted": body.count, "possible": len(candidates)})
        try:
            async with session.savepoint():
                nodes, ids = await lock(session, body, candidates)
        except OvertakenError:
            continue
        return await change_proxies(session, ids, nodes, rule_of(body), allow_past=allow_past)
    raise Conflict("other requests are changing these proxies: repeat the claim")


async def select_free(session: Session, body: ClaimRequest, node_ids: Sequence[int] | None = None) -> list[int]:
    """Return the ids of free proxies, with `node_ids` only of these nodes: as many as the body asks for at most."""
    rows = await session.rows(
        "claims.select_free",
        **filter_parameters(body.filter, ProxyFilter),
        keys=list(body.labels),
        node_ids=node_ids,
        new_login=True if body.rotate else None,
        count=body.count,
    )
    return [row["id"] for row in rows]


async def lock(session: Session, body: ClaimRequest, candidates: Sequence[int]) -> tuple[list[Row], list[ProxyId]]:
    """Lock the nodes of the candidates, then free proxies of these nodes; return both. Raises OvertakenError."""
    found = await session.rows("placement.select_nodes_of_proxies", proxy_ids=candidates)
    node_ids = [row["node_id"] for row in found]
    nodes = await session.rows("placement.lock_nodes", ids=node_ids)
    free = await select_free(session, body, node_ids)
    locked = [row["id"] for row in await session.rows("claims.lock", ids=free)]
    if len(locked) < body.count:
        raise OvertakenError
    return nodes, locked


def rule_of(body: ClaimRequest) -> ChangeRule:
    """Return how the body changes proxies."""
    return ChangeRule(settings=lambda _, before: patched_settings(before, given(body)), labels=body.labels)


def given(body: ClaimRequest) -> dict[str, Any]:
    """Return the settings that proxies get: with a sample of their logins, if the body asks for new ones."""
    shared = {"labels": body.labels, "limits": body.limits.given()}
    if not body.rotate:
        return shared
    return {**shared, **random_login()}


async def claimed(session: Session, outcome: WriteOutcome) -> list[Proxy]:
    """Return the claimed proxies as they are now; proxies that were removed since are left out."""
    query = ProxyList.model_construct(id=list(outcome.changed), limit=MAX_CLAIMED)
    return (await page(session, query)).items
