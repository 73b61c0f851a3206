"""Checks every request once its route is known, before its body is read and its handler called."""

from master.api.openapi.route_docs import docs_of
from master.api.problems import NO_SUCH_ID
from master.api.requests.query_parameters import read_parameters
from master.api.requests.reading import ApiRequest, invalid, read_body, unknown_parameters
from master.api.requests.signatures import inputs_of
from master.api.scopes import check_access
from master.errors import NotFound
from master.schemas.access import present_access
from shared.proxies import MAX_BIGINT


async def check_route(request: ApiRequest) -> None:
    """Raises Unauthorized, Forbidden; NotFound for an impossible id; Invalid for unknown parameters.

    Raises NotJson, BadRequest for a missing body.

    Without a body the framework does not ask the decoder, and would answer that `data` is missing.
    """
    scope, handler = request.scope, request.route_handler
    check_access(present_access(), scope["path_template"], request.method)
    ids = [value for value in scope["path_params"].values() if isinstance(value, int)]
    parts = {name: str(value).removeprefix("/") for name, value in scope["path_params"].items()}  # a path begins with /
    is_other_spelling = scope["path_template"].format_map(parts) != scope["path"]
    if is_other_spelling or not all(1 <= id_ <= MAX_BIGINT for id_ in ids):
        raise NotFound(NO_SUCH_ID)
    docs = docs_of(handler)
    if docs is None:
        return
    inputs = inputs_of(handler.fn)
    if inputs.query is None and not docs.ignores_parameters:
        pairs, complaints = read_parameters(scope["query_string"])
        if complaints := complaints or unknown_parameters(pairs, ()):
            raise invalid(complaints)
    if inputs.body is not None and inputs.needs_body and not await request.body():
        read_body(b"", request.headers.get("content-type", ""), inputs.body)
