"""Who had an endpoint or an exit address, now or at some time before."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

from master.db.database import Row, Session
from master.domain.lookup.schemas import Holder, Lookup, LookupQuery, RandomExitDetails
from master.schemas.cursors import cursor
from shared.permutation import Permutation

FORGET_AT_ONCE = 5_000


async def look_up(session: Session, query: LookupQuery) -> Lookup:
    """By endpoint when a port is given, else by exit address."""
    at = query.at or await session.value("lookup.clock")
    page = {"ip": query.ip, "at": at, "after": query.after, "limit": query.limit}
    drawn: list[RandomExitDetails] = []
    if query.port is not None:
        rows = await session.rows("lookup.select_endpoint", port=query.port, **page)
    else:
        rows = await session.rows("lookup.select_exit", **page)
        drawn = await traced(session, query.ip, at)
    next_ = cursor(rows[-1]["id"]) if len(rows) == query.limit else None
    return Lookup(ip=query.ip, port=query.port, at=at, items=holders(rows), drawn=drawn, next=next_)


async def traced(session: Session, ip: str, at: datetime) -> list[RandomExitDetails]:
    """What an address says under every key that may have drawn it."""
    if ip_address(ip).version != 6:
        return []
    told = decoded(ip, await session.rows("lookup.select_keys", ip=ip))
    found: dict[int, list[Row]] = {place: [] for place in range(len(told))}
    if told:
        for row in await session.rows("lookup.select_drawn", drawn=[*numbered(told)], at=at):
            found[row["place"]].append(row)
    return [RandomExitDetails(**one, proxies=holders(found[place])) for place, one in enumerate(told)]


def decoded(ip: str, keys: Iterable[Row]) -> list[dict[str, Any]]:
    """What the address says under each key that could have drawn it. Pure."""
    found: list[dict[str, Any]] = []
    for one in keys:
        permutation = Permutation(one["prefix"], bytes.fromhex(one["key"]))
        drawn = permutation.drawn(int(ip_address(ip)))
        if drawn is not None:
            where = {"node_id": one["node_id"], "prefix": one["prefix"], "connection": drawn.counter}
            found.append({**where, "rest": drawn.proxy, "modulus": 1 << permutation.proxy_bits})
    return found


def numbered(told: Sequence[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """For the query, which tells rows by `place`."""
    for place, one in enumerate(told):
        yield {"place": place, **{name: one[name] for name in ("node_id", "prefix", "rest", "modulus")}}


def holders(rows: Iterable[Row]) -> list[Holder]:
    """Out of rows of `endpoint_history`."""
    return [Holder.model_validate({name: row[name] for name in Holder.model_fields}) for row in rows]


async def forget(session: Session, kept: timedelta) -> None:
    """Let go of what ended longer ago, a batch at a time, and of keys that nobody is remembered to have drawn under."""
    while await session.execute("lookup.forget", kept=kept, most=FORGET_AT_ONCE):
        pass
    await session.execute("lookup.forget_keys")
