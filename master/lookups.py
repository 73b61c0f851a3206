"""Who had an endpoint or an exit address, now or at some time before."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

from pydantic import Field

from master.addresses import Address
from master.cursors import cursor
from master.db import Row, Session
from master.instants import Moment
from master.model import Shown
from master.questions import Paging
from shared.permutation import Permutation
from shared.proxies import ExitMode, Port

FORGET_AT_ONCE = 5_000


class LookupList(Paging):
    """A page of those who had an address at a time."""

    ip: Address
    port: Port | None = Field(default=None, description="of an endpoint; without it exit addresses are looked up")
    at: Moment | None = Field(default=None, description="now when none is given")


class Holder(Shown):
    """A proxy as it was for a stretch of time."""

    proxy_id: int
    name: str | None = Field(description="its last name in that time")
    node_id: int
    ip: str = Field(description="of its node")
    port: int
    username: str | None
    exit_mode: ExitMode
    exit_address: str | None = Field(description="its node's ip by the default; null when addresses are drawn")
    exit_prefix: str | None = Field(description="out of which addresses are drawn")
    since: datetime
    until: datetime | None = Field(description="null: it still is so")


class Drawn(Shown):
    """What a random exit address says of itself under a node's key."""

    node_id: int
    prefix: str
    connection: int = Field(description="the number that the connection got, counted over the node")
    rest: int = Field(description="what the proxy's id leaves when divided by `modulus`")
    modulus: int
    proxies: list[Holder] = Field(description="who drew there then and may be meant; empty: nobody, it was not drawn")


class Lookup(Shown):
    """Who had it; `next` goes into `after` for the following page, null when there is none."""

    ip: str
    port: int | None
    at: datetime
    items: list[Holder]
    drawn: list[Drawn] = Field(description="when it lies in a prefix that random exit addresses are drawn out of")
    next: str | None


async def look_up(session: Session, asked: LookupList) -> Lookup:
    """By endpoint when a port is given, else by exit address."""
    at = asked.at or await session.value("lookups.clock")
    page = {"ip": asked.ip, "at": at, "after": asked.after, "limit": asked.limit}
    drawn: list[Drawn] = []
    if asked.port is not None:
        rows = await session.rows("lookups.select_endpoint", port=asked.port, **page)
    else:
        rows = await session.rows("lookups.select_exit", **page)
        drawn = await traced(session, asked.ip, at)
    next_ = cursor(rows[-1]["id"]) if len(rows) == asked.limit else None
    return Lookup(ip=asked.ip, port=asked.port, at=at, items=holders(rows), drawn=drawn, next=next_)


async def traced(session: Session, ip: str, at: datetime) -> list[Drawn]:
    """What an address says under every key that may have drawn it."""
    if ip_address(ip).version != 6:
        return []
    told = decoded(ip, await session.rows("lookups.select_keys", ip=ip))
    found: dict[int, list[Row]] = {place: [] for place in range(len(told))}
    if told:
        for row in await session.rows("lookups.select_drawn", drawn=[*numbered(told)], at=at):
            found[row["place"]].append(row)
    return [Drawn(**one, proxies=holders(found[place])) for place, one in enumerate(told)]


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
    while await session.execute("lookups.forget", kept=kept, most=FORGET_AT_ONCE):
        pass
    await session.execute("lookups.forget_keys")
