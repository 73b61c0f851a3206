"""/api and /api-json: the documentation, served without any other server."""

import json
from functools import cache
from importlib.resources import files

from litestar import Litestar, Response, get
from litestar.params import FromPath

from master.api.encoding import written
from master.api.openapi.document import document
from master.api.requests.reading import ApiRequest
from master.errors import NotFound
from master.schemas.media_types import MediaType

DOCUMENT = "openapi_document"
MEDIA_TYPES = {"css": MediaType.CSS, "js": MediaType.JAVASCRIPT}

PAGE = b"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>maybe-proxy API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/api/static/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/api/static/swagger-ui-bundle.js"></script>
<script src="/api/static/swagger-ui-standalone-preset.js"></script>
<script src="/api/static/swagger-initializer.js"></script>
</body>
</html>
"""
FILES = ("swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "swagger-initializer.js")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI writes styles into its elements and has its icons in data: addresses; it runs no inline script."""


@cache
def static(name: str) -> bytes:
    """Read a file of the page. Raises NotFound."""
    if name not in FILES:
        raise NotFound("there is no such file")
    return (files("master.api") / "static" / name).read_bytes()


def document_of(app: Litestar) -> bytes:
    """Return the OpenAPI document of the application, made when it is first asked for."""
    if DOCUMENT not in app.state:
        app.state[DOCUMENT] = json.dumps(document(app.routes)).encode()
    return app.state[DOCUMENT]


@get("/api")
async def api_page() -> Response[bytes]:
    """Serve Swagger UI."""
    return written(PAGE, MediaType.HTML, headers={"Content-Security-Policy": POLICY})


@get("/api/static/{name:str}")
async def api_file(name: FromPath[str]) -> Response[bytes]:
    """Serve a file of the page."""
    content = static(name)
    headers = {"Cache-Control": "public, max-age=3600"}
    return written(content, MEDIA_TYPES[name.rpartition(".")[2]], headers=headers)


@get("/api-json")
async def api_json(request: ApiRequest) -> Response[bytes]:
    """Serve the OpenAPI document."""
    return written(document_of(request.app), MediaType.JSON)
