"""Search each kind of resource."""

from collections.abc import Callable, Mapping, Sequence

from master.db.database import Row, Session
from master.domain.search.schemas import ResultKind, SearchResult, SearchResults
from master.domain.search.terms import Terms

SEPARATOR = " · "


async def find(session: Session, terms: Terms, limit: int) -> SearchResults:
    """Return up to `limit` results of each kind."""
    text = {"id": terms.id, "text": terms.text, "limit": limit}
    rows: Mapping[ResultKind, Sequence[Row]] = {
        "proxy": await session.rows("search.proxies", **text, text_end=terms.end, host=terms.host, port=terms.port),
        "node": await session.rows("search.nodes", **text),
        "location": await session.rows("search.locations", **text),
        "stack": await session.rows("search.stacks", **text),
        "link": await session.rows("search.links", id=terms.id),
        "webhook": await session.rows("search.webhooks", **text),
    }
    return SearchResults(items=[RESULTS[kind](row) for kind, found in rows.items() for row in found])


def proxy_result(row: Row) -> SearchResult:
    """Show a proxy."""
    host = f"[{row['host']}]" if ":" in row["host"] else row["host"]
    return result("proxy", row, f"{host}:{row['port']}", row["node"], row["username"])


def result(kind: ResultKind, row: Row, *details: str | None) -> SearchResult:
    """Show a resource with these details, as far as it has them."""
    detail = SEPARATOR.join(each for each in details if each)
    return SearchResult(kind=kind, id=row["id"], name=row["name"], detail=detail)


RESULTS: Mapping[ResultKind, Callable[[Row], SearchResult]] = {
    "proxy": proxy_result,
    "node": lambda row: result("node", row, row["ip"], row["location"]),
    "location": lambda row: result("location", row, row["country"]),
    "stack": lambda row: result("stack", row, str(row["count"])),
    "link": lambda row: result("link", {**row, "name": None}, row["kind"], row["format"]),
    "webhook": lambda row: result("webhook", {**row, "name": row["host"]}, ", ".join(row["types"]) or "*"),
}
