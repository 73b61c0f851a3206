"""Finds the token of each request. What it knows of a token is never older than a second."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import NoReturn

import structlog

from master.api.authentication import AccessEnded
from master.db.background import keep_on
from master.db.database import Database, Row
from master.domain.tokens import service as tokens
from master.errors import DatabaseAway, DatabaseError, Forbidden, RequestRefused, Unauthorized
from master.instruments import Meters
from master.schemas.access import ANYBODY, Access, TokenFilter
from master.schemas.token_format import fault_of, token_hash

log = structlog.get_logger()

FRESH_S = 1.0
LOG_EVERY_S = 10.0
HOW = "send the header Authorization: Bearer mp_..., with a token that POST /tokens or `maybe-master token create` made"


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownToken:
    """A token as it was at a moment of the monotonic clock."""

    access: Access
    allow_ips: tuple[str, ...]
    is_expired: bool
    at: float


@dataclass(eq=False, slots=True)
class OpenRequest:
    """A request that is being served."""

    access: Access
    address: str
    limit: asyncio.Timeout = field(default_factory=lambda: asyncio.timeout(None))


class TokenAuthenticator:
    """Keeps what it reads of the tokens for a second, and ends open requests whose token counts no longer."""

    def __init__(self, database: Database, meters: Meters, *, fresh_s: float = FRESH_S) -> None:
        self._database, self._meters, self._fresh_s = database, meters, fresh_s
        self._known: dict[str, KnownToken] = {}
        self._open: tuple[bool, float] | None = None
        """Whether the API is open, and when that was read."""
        self._under_way: set[OpenRequest] = set()
        self._logged_at, self._unlogged = -LOG_EVERY_S, 0

    async def look(self) -> None:
        """Read whether the API is open, so that this is known while the database is away. Raises DatabaseError."""
        await self._is_open(without_database=False)

    def forget(self) -> None:
        """Read the tokens afresh."""
        self._known.clear()
        if self._open is not None:
            self._open = self._open[0], time.monotonic() - self._fresh_s

    async def access_of(self, token: str | None, address: str, *, without_database: bool = False) -> Access:
        """Return what a request may do. Raises Unauthorized, Forbidden, DatabaseError."""
        if token is None:
            if await self._is_open(without_database=without_database):
                return ANYBODY
            self._refuse("missing", Unauthorized(f"this request needs a token: {HOW}"), address)
        if fault := fault_of(token):
            self._refuse("mistyped", Unauthorized(fault), address)
        known = await self._find(token_hash(token), address, without_database=without_database)
        if known is None:
            self._refuse("unknown", Unauthorized("there is no such token, or it was revoked"), address)
        if known.is_expired:
            self._refuse("expired", Unauthorized("the token has expired"), address)
        if not is_allowed(address, known.allow_ips):
            self._refuse("address", Forbidden(f"the token is not accepted from {address or 'this address'}"), address)
        return known.access

    async def _is_open(self, *, without_database: bool) -> bool:
        began = time.monotonic()
        if self._open is not None and began - self._open[1] < self._fresh_s:
            return self._open[0]
        try:
            async with self._database.session() as session:
                is_open = await tokens.is_open(session)
        except DatabaseAway:
            if self._open is None or not without_database:
                raise
            return self._open[0]
        self._open = is_open, began
        return is_open

    async def _find(self, hash_: str, address: str, *, without_database: bool) -> KnownToken | None:
        known, began = self._known.get(hash_), time.monotonic()
        if known is not None and began - known.at < self._fresh_s:
            return known
        try:
            async with self._database.session() as session:
                row = await session.row("tokens.find", hash=hash_)
                if row is not None and is_used(row, address):
                    await session.execute("tokens.mark_used", id=row["id"], ip=address)
        except DatabaseAway:
            if known is None or not without_database:
                raise
            return known
        return self._note(hash_, row, began)

    def _note(self, hash_: str, row: Row | None, at: float) -> KnownToken | None:
        if row is None:
            self._known.pop(hash_, None)
            return None
        self._known[hash_] = known_token(row, at)
        return self._known[hash_]

    def _refuse(self, reason: str, error: RequestRefused, address: str) -> NoReturn:
        """Count a refusal; the log has one of them every 10 s, with the number of the others."""
        self._meters.refused_tokens[reason] += 1
        self._unlogged += 1
        now = time.monotonic()
        if now - self._logged_at >= LOG_EVERY_S:
            log.warning("request.unauthenticated", reason=reason, address=address, count=self._unlogged)
            self._logged_at, self._unlogged = now, 0
        raise error

    @asynccontextmanager
    async def lasting(self, access: Access, address: str) -> AsyncGenerator[None]:
        """Serve a request inside of this context, for as long as `run` finds its access. Raises AccessEnded."""
        request = OpenRequest(access, address)
        try:
            async with request.limit:
                self._under_way.add(request)
                try:
                    yield
                finally:
                    self._under_way.discard(request)
        except TimeoutError:
            if request.limit.expired():
                raise AccessEnded from None
            raise

    async def run(self) -> None:
        """End requests whose access has ended, until cancelled."""
        await keep_on(self._turn, "tokens")

    async def _turn(self) -> None:
        await asyncio.sleep(self._fresh_s)
        before = frozenset(self._under_way)
        if not before:
            return
        ids = sorted({one.access.token_id for one in before if one.access.token_id is not None})
        try:
            async with self._database.session() as session:
                rows = await session.rows("tokens.select_usable", ids=ids)
                is_open = await tokens.is_open(session)
        except DatabaseError:
            return  # a token that cannot be looked up was not seen revoked; whatever reads the database fails by itself
        usable = {row["id"]: row["allow_ips"] for row in rows}
        for one in before & self._under_way:
            if not is_still_allowed(one, usable, is_open=is_open):
                one.limit.reschedule(asyncio.get_running_loop().time())


def is_still_allowed(request: OpenRequest, usable: dict[int, Sequence[str]], *, is_open: bool) -> bool:
    """Whether an open request may go on."""
    id_ = request.access.token_id
    if id_ is None:
        return is_open
    return id_ in usable and is_allowed(request.address, usable[id_])


def known_token(row: Row, at: float) -> KnownToken:
    """Make a token out of its row."""
    filter_ = TokenFilter.model_validate(row["filter"]) if row["filter"] is not None else None
    access = Access(scopes=frozenset(row["scopes"]), name=row["name"], token_id=row["id"], filter=filter_)
    return KnownToken(access=access, allow_ips=tuple(row["allow_ips"]), is_expired=row["is_expired"], at=at)


def is_used(row: Row, address: str) -> bool:
    """Whether a request with the token of this row counts as a use that has to be written."""
    return row["is_due"] and not row["is_expired"] and is_allowed(address, row["allow_ips"])


def is_allowed(address: str, networks: Sequence[str]) -> bool:
    """Whether an address is in one of the networks, or there is none."""
    if not networks:
        return True
    found = ip_address(address) if address else None
    return found is not None and any(found in ip_network(one) for one in networks)
