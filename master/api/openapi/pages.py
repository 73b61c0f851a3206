"""/api-json: the OpenAPI document."""

import json

from litestar import Litestar, Response, get

from master.api.encoding import written
from master.api.openapi.document import document
from master.api.requests.reading import ApiRequest
from master.schemas.media_types import MediaType

DOCUMENT = "openapi_document"


def document_of(app: Litestar) -> bytes:
    """Return the OpenAPI document of the application, made when it is first asked for."""
    if DOCUMENT not in app.state:
        app.state[DOCUMENT] = json.dumps(document(app.routes)).encode()
    return app.state[DOCUMENT]


@get("/api-json")
async def api_json(request: ApiRequest) -> Response[bytes]:
    """Serve the OpenAPI document."""
    return written(document_of(request.app), MediaType.JSON)
