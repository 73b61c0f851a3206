"""/api-json: the OpenAPI document."""

import gzip
import json

from litestar import Litestar, Response, get

from master.api.encoding import written
from master.api.openapi.document import document
from master.api.requests.reading import ApiRequest
from master.schemas.media_types import MediaType

DOCUMENT, ZIPPED = "openapi_document", "openapi_document_zipped"


def document_of(app: Litestar) -> bytes:
    """Return the OpenAPI document of the application, made when it is first asked for."""
    if DOCUMENT not in app.state:
        app.state[DOCUMENT] = json.dumps(document(app.routes)).encode()
    return app.state[DOCUMENT]


def zipped_document_of(app: Litestar) -> bytes:
    """Return the document compressed, which is a tenth of it: forms of the page wait for it."""
    if ZIPPED not in app.state:
        app.state[ZIPPED] = gzip.compress(document_of(app), 6, mtime=0)
    return app.state[ZIPPED]


@get("/api-json")
async def api_json(request: ApiRequest) -> Response[bytes]:
    """Serve the OpenAPI document, compressed for those who take that."""
    headers = {"Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return written(document_of(request.app), MediaType.JSON, headers=headers)
    headers |= {"Content-Encoding": "gzip"}
    return written(zipped_document_of(request.app), MediaType.JSON, headers=headers)
