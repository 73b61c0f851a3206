"""What is checked of every request once its route is known, before its handler is called."""

from master.api.openapi.route_docs import RouteDocs
from master.api.problems import NO_SUCH_ID
from master.api.requests.query_parameters import read_parameters
from master.api.requests.reading import ApiRequest, invalid, unknown_parameters
from master.errors import NotFound


async def check_route(request: ApiRequest) -> None:
    """Raises NotFound for an id in another spelling than it has, Invalid for parameters where none are known."""
    scope = request.scope
    if scope["path_template"].format_map(scope["path_params"]) != scope["path"]:
        raise NotFound(NO_SUCH_ID)
    told = request.route_handler.opt.get("told")
    if isinstance(told, RouteDocs) and told.query is None and not told.any_query:
        pairs, complaints = read_parameters(scope["query_string"])
        if complaints := complaints or unknown_parameters(pairs, ()):
            raise invalid(complaints)
