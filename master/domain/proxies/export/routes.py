"""/proxies/export: proxies as a file, a page of the database at a time."""

from collections.abc import AsyncGenerator, Mapping, Sequence

from litestar import get
from litestar.response import Stream

from master.api.dependencies import Injected
from master.api.encoding import streamed
from master.api.names import named
from master.api.openapi.route_docs import documented
from master.db.database import Database, Row
from master.domain.proxies import service as proxies
from master.domain.proxies.export.writers import WRITERS, ExportedProxy, ExportWriter, writer
from master.domain.proxies.schemas import ProxyExport, ProxyFilter
from master.schemas.media_types import MediaType

PAGE = 500
"""Rows read at once, so that neither the memory nor the wait of other requests grows with the list."""
FILES = {each.media_type: ExportedProxy if each.media_type is MediaType.JSON else None for each in WRITERS.values()}
"""The media type of each format, and the model of its items where it has one."""
PRIVATE = {"Cache-Control": "no-store"}


@get(
    "/proxies/export",
    summary="Export proxies",
    opt=documented(answers={200: "All proxies that the filter matches."}, streams=FILES),
)
async def export_proxies(database: Injected[Database], parameters: Injected[ProxyExport]) -> Stream:
    """Export all proxies that the filter matches as a file, ordered by id.

    By default each line is `host:port:username:password`; `format` or `template` choose another form. IPv6 hosts stand
    in brackets, except in CSV and JSON. A proxy that serves both HTTP and SOCKS5 is written with its HTTP URL. If the
    database fails during the export, the connection is closed before the end of the body, so that clients notice.
    """
    query = await named(database, parameters)
    return await exported(database, query, writer(query.format, query.template, raw=query.raw), PRIVATE)


async def exported(database: Database, filter_: ProxyFilter, form: ExportWriter, headers: Mapping[str, str]) -> Stream:
    """Start the answer after the first rows are read, so that a failure until then is reported as a problem."""
    first = await portion(database, filter_, None)
    disposition = {"Content-Disposition": f'attachment; filename="proxies.{form.suffix}"'}
    pieces = lines(database, filter_, form, first)
    return streamed(pieces, form.media_type, {**headers, **disposition})


async def portion(database: Database, filter_: ProxyFilter, after: int | None) -> Sequence[Row]:
    """Read the next rows. No connection is held between two portions, so a slow reader blocks nobody."""
    async with database.session() as session:
        return await proxies.matching(session, filter_, after=after, limit=PAGE)


async def lines(
    database: Database, filter_: ProxyFilter, form: ExportWriter, first: Sequence[Row]
) -> AsyncGenerator[bytes]:
    """Write all rows, one portion at a time."""
    rows, begun = first, False
    yield form.head.encode()
    while rows:
        text = form.between.join(form.line(row) for row in rows)
        yield (form.between * begun + text).encode()
        begun = True
        rows = await portion(database, filter_, rows[-1]["id"]) if len(rows) == PAGE else ()
    yield form.tail.encode()
