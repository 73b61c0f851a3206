"""/proxies/…/check"""

from typing import Any

from litestar import Response, post
from litestar.di import NamedDependency

from master.api.dependencies import Wiring
from master.api.openapi.route_docs import documented
from master.api.requests.reading import ApiRequest, PathId, read_body
from master.api.responses import resource_response
from master.domain.checks.probe import ProbeResult, probe, target_of
from master.domain.checks.results import Endpoint
from master.domain.checks.schemas import Check, CheckRequest
from master.domain.proxies import service as proxies
from master.domain.proxies.schemas import Proxy


@post(
    "/proxies/{proxy_id:int}/check",
    status_code=200,
    summary="Check a proxy from end to end",
    opt=documented(body=CheckRequest, answers={200: Check}),
)
async def check_proxy(request: ApiRequest, proxy_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """The master goes through the proxy as a client would.

    Without a target it asks the setting CHECK_TARGET or else an echo that the built-in engine has on the proxy's node.
    """
    wish = await read_body(request, CheckRequest)
    async with wiring.database.session() as session:
        proxy = await proxies.get(session, proxy_id)
    url = wish.target or wiring.check_target
    verdict = await probe(endpoint_of(proxy), target_of(url))
    return resource_response(check_of(verdict, has_echo=url is not None or proxy.engine == "builtin"))


def endpoint_of(proxy: Proxy) -> Endpoint:
    """Where it serves."""
    return Endpoint(
        host=proxy.host,
        port=proxy.port,
        protocol=proxy.protocol,
        engine=proxy.engine,
        allow_ips=proxy.allow_ips,
        username=proxy.username,
        password=proxy.password,
    )


def check_of(verdict: ProbeResult, *, has_echo: bool) -> Check:
    """3proxy has no echo of its own: without a target there is nothing to say of what lies behind it."""
    failure = verdict.failure
    if failure is None:
        return Check(ok=True, latency_ms=verdict.latency_ms, exit_ip=verdict.exit_ip, failed_step=None, reason=None)
    if not has_echo and failure.step in ("destination", "answer"):
        reason = "only the login was checked: 3proxy has no echo, so give a target or set CHECK_TARGET"
        return Check(ok=True, latency_ms=verdict.latency_ms, exit_ip=None, failed_step=None, reason=reason)
    return Check(ok=False, latency_ms=verdict.latency_ms, exit_ip=None, failed_step=failure.step, reason=failure.reason)
