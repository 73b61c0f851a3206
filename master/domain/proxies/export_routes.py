"""/proxies/export: proxies as a file, a page of the database at a time."""

from collections.abc import AsyncGenerator, Mapping, Sequence

from litestar import get
from litestar.di import NamedDependency
from litestar.response import Stream

from master.api.dependencies import Wiring
from master.api.encoding import streamed
from master.api.names import named
from master.api.openapi.route_docs import documented
from master.api.requests.reading import ApiRequest, read_query
from master.db.database import Database, Row
from master.domain.proxies import service as proxies
from master.domain.proxies.export import WRITERS, ExportedProxy, ExportWriter, writer
from master.domain.proxies.schemas import ProxyExport, ProxyFilter
from master.schemas.media_types import MediaType

PAGE = 500
"""Rows at once: neither memory nor the time until others are served grows with the list."""
FILES = {each.media_type: ExportedProxy if each.media_type is MediaType.JSON else None for each in WRITERS.values()}
"""The media type of each form, and the model of its items where it has any."""
PRIVATE = {"Cache-Control": "no-store"}


@get("/proxies/export", summary="Export proxies", opt=documented(query=ProxyExport, answers={200: None}, streams=FILES))
async def export_proxies(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Stream:
    """All that the filter matches, by id, one a line: `host:port:username:password`, or as `format` or `template` say.

    Hosts that are IPv6 addresses stand in brackets, but for CSV and JSON. Where a proxy speaks HTTP and SOCKS5 its url
    is that of HTTP. The answer is whole when it ends as HTTP says; when the database goes away meanwhile the
    connection is cut instead.
    """
    asked = read_query(request, ProxyExport)
    asked = await named(wiring.database, asked)
    return await exported(wiring, asked, writer(asked.format, asked.template, raw=asked.raw), PRIVATE)


async def exported(wiring: Wiring, asked: ProxyFilter, wanted: ExportWriter, headers: Mapping[str, str]) -> Stream:
    """The first rows are read before the answer begins, so that what fails at once is told as a problem."""
    first = await portion(wiring.database, asked, 0)
    disposition = {"Content-Disposition": f'attachment; filename="proxies.{wanted.suffix}"'}
    pieces = lines(wiring.database, asked, wanted, first)
    return streamed(pieces, wanted.media_type, {**headers, **disposition})


async def portion(database: Database, asked: ProxyFilter, after: int) -> Sequence[Row]:
    """The next rows. No connection is held between two portions: a slow reader keeps none from the others."""
    async with database.session() as session:
        return await proxies.matching(session, asked, after=after, limit=PAGE)


async def lines(
    database: Database, asked: ProxyFilter, wanted: ExportWriter, first: Sequence[Row]
) -> AsyncGenerator[bytes]:
    """All of it, a portion at a time."""
    rows, begun = first, False
    yield wanted.head.encode()
    while rows:
        text = wanted.between.join(wanted.line(row) for row in rows)
        yield (wanted.between * begun + text).encode()
        begun = True
        rows = await portion(database, asked, rows[-1]["id"]) if len(rows) == PAGE else ()
    yield wanted.tail.encode()
