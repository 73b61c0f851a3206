"""Look up who had an endpoint or an exit address, now or in the past."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

from master.db.database import Row, Session
from master.domain.lookup.schemas import Holder, Lookup, LookupQuery, RandomExitDetails
from master.schemas.cursors import cursor
from shared.engine.permutation import Permutation

FORGET_BATCH = 5_000


async def look_up(session: Session, query: LookupQuery) -> Lookup:
    """Look up an endpoint if a port is given, else an exit address."""
    at = query.at or await session.value("lookup.clock")
    page = {"ip": query.ip, "at": at, "after": query.after, "limit": query.limit}
    drawn: list[RandomExitDetails] = []
    if query.port is not None:
        rows = await session.rows("lookup.select_endpoint", port=query.port, **page)
    else:
        rows = await session.rows("lookup.select_exit", **page)
        drawn = await random_exits(session, query.ip, at)
    next_ = cursor(rows[-1]["id"]) if len(rows) == query.limit else None
    return Lookup(ip=query.ip, port=query.port, at=at, items=holders(rows), drawn=drawn, next=next_)


async def random_exits(session: Session, ip: str, at: datetime) -> list[RandomExitDetails]:
    """Decode a random exit address with every key that may have drawn it, and find the proxies.

    A token with a filter gets only what it has drawn: the decoded part of an id would be that of another's proxy.
    """
    if ip_address(ip).version != 6:
        return []
    exits = decode(ip, await session.rows("lookup.select_keys", ip=ip))
    found: dict[int, list[Row]] = {place: [] for place in range(len(exits))}
    if exits:
        for row in await session.rows("lookup.select_drawn", drawn=[*indexed(exits)], at=at):
            found[row["place"]].append(row)
    drawn = [RandomExitDetails(**one, proxies=holders(found[place])) for place, one in enumerate(exits)]
    return drawn if session.narrowing is None else [one for one in drawn if one.proxies]


def decode(ip: str, keys: Iterable[Row]) -> list[dict[str, Any]]:
    """Decode the address with each of these keys that could have drawn it. Pure."""
    found: list[dict[str, Any]] = []
    for one in keys:
        permutation = Permutation(one["prefix"], bytes.fromhex(one["key"]))
        drawn = permutation.drawn(int(ip_address(ip)))
        if drawn is not None:
            where = {"node_id": one["node_id"], "prefix": one["prefix"], "connection": drawn.counter}
            found.append({**where, "rest": drawn.proxy, "modulus": 1 << permutation.proxy_bits})
    return found


def indexed(exits: Sequence[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """Number the decoded addresses for the query by `place`."""
    for place, one in enumerate(exits):
        yield {"place": place, **{name: one[name] for name in ("node_id", "prefix", "rest", "modulus")}}


def holders(rows: Iterable[Row]) -> list[Holder]:
    """Build holders from rows of `endpoint_history`."""
    return [Holder.model_validate({name: row[name] for name in Holder.model_fields}) for row in rows]


async def forget(session: Session, kept: timedelta) -> None:
    """Delete periods that ended longer ago, in batches, and keys that no remaining period needs."""
    while await session.execute("lookup.forget", kept=kept, max_rows=FORGET_BATCH):
        pass
    await session.execute("lookup.forget_keys")
