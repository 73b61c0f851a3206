"""Check proxies from end to end, and keep the last result of each."""

from collections.abc import Sequence
from datetime import UTC, datetime

from master.db.database import Database, Row, Session
from master.domain.checks.probe import ProbeResult, ProbeTarget, probe, target_of
from master.domain.checks.results import Endpoint
from master.domain.events.log import touch
from master.domain.proxies.proxy_parts import Check
from shared.tasks import for_each

AT_ONCE = 125
"""Checks of one request that run at the same time. A check ends within PROBE_S, so 500 end within a minute."""


async def check(database: Database, rows: Sequence[Row], url: str | None) -> dict[int, Check]:
    """Check the proxies of these rows, many at a time; return the results by id. `url` is the target of all of them,
    None the echo service of each proxy's own node.

    No connection to the database is held meanwhile.
    """
    target, found = target_of(url), dict[int, Check]()

    async def check_one(row: Row) -> None:
        found[row["id"]] = await checked(row, target, has_echo=url is not None or row["engine"] == "builtin")

    await for_each(rows, check_one, at_once=AT_ONCE)
    async with database.session() as session:
        await store(session, found)
    return {row["id"]: found[row["id"]] for row in rows}


async def checked(row: Row, target: ProbeTarget, *, has_echo: bool) -> Check:
    """Check the proxy of this row."""
    return check_of(await probe(endpoint_of(row), target), has_echo=has_echo, at=datetime.now(UTC))


async def store(session: Session, checks: dict[int, Check]) -> None:
    """Store the results; those of proxies that were removed meanwhile are dropped."""
    results = [each.model_dump(mode="json") for each in checks.values()]
    await session.execute("checks.store", ids=list(checks), results=results)
    await touch(session, "proxies", checks)


def endpoint_of(row: Row) -> Endpoint:
    """Return the endpoint at which the proxy of this row serves."""
    names = ("host", "port", "protocol", "tls", "engine", "allow_ips", "username", "password")
    return Endpoint(**{name: row[name] for name in names})


def check_of(result: ProbeResult, *, has_echo: bool, at: datetime) -> Check:
    """Report a probe. 3proxy has no echo service, so without a target nothing is known of the way behind it."""
    failure = result.failure
    step, reason = (None, None) if failure is None else (failure.step, failure.reason)
    if not has_echo and step in ("destination", "answer"):
        step, reason = None, "only the login was checked: 3proxy has no echo, so give a target or set CHECK_TARGET"
    return Check(ok=step is None, latency_ms=result.latency_ms, exit_ip=result.exit_ip, step=step, reason=reason, at=at)
