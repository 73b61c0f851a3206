"""/proxies/…/check"""

from litestar import post
from litestar.params import JSONBody

from master.api.dependencies import Injected
from master.api.openapi.route_docs import documented
from master.api.requests.reading import PathId
from master.db.database import Database
from master.domain.checks.probe import ProbeResult, probe, target_of
from master.domain.checks.results import Endpoint
from master.domain.checks.schemas import Check, CheckRequest
from master.domain.proxies import service as proxies
from master.domain.proxies.schemas import Proxy


@post(
    "/proxies/{proxy_id:int}/check",
    status_code=200,
    summary="Check a proxy from end to end",
    opt=documented(answers={200: "How far the connection came. A check that fails is reported here, too."}),
)
async def check_proxy(
    proxy_id: PathId,
    data: JSONBody[CheckRequest],
    database: Injected[Database],
    check_target: Injected[str | None],
) -> Check:
    """Connect through the proxy as a client would, and request the target.

    Without `target` the master requests the URL of its setting CHECK_TARGET; without that setting, an echo service that
    the built-in engine runs on the node of the proxy.
    """
    async with database.session() as session:
        proxy = await proxies.get(session, proxy_id)
    url = data.target or check_target
    result = await probe(endpoint_of(proxy), target_of(url))
    return check_of(result, has_echo=url is not None or proxy.engine == "builtin")


def endpoint_of(proxy: Proxy) -> Endpoint:
    """Return the endpoint at which the proxy serves."""
    return Endpoint(
        host=proxy.host,
        port=proxy.port,
        protocol=proxy.protocol,
        engine=proxy.engine,
        allow_ips=proxy.allow_ips,
        username=proxy.username,
        password=proxy.password,
    )


def check_of(result: ProbeResult, *, has_echo: bool) -> Check:
    """Report a probe. 3proxy has no echo service, so without a target nothing is known of the way behind it."""
    failure = result.failure
    if failure is None:
        return Check(ok=True, latency_ms=result.latency_ms, exit_ip=result.exit_ip, failed_step=None, reason=None)
    if not has_echo and failure.step in ("destination", "answer"):
        reason = "only the login was checked: 3proxy has no echo, so give a target or set CHECK_TARGET"
        return Check(ok=True, latency_ms=result.latency_ms, exit_ip=None, failed_step=None, reason=reason)
    return Check(ok=False, latency_ms=result.latency_ms, exit_ip=None, failed_step=failure.step, reason=failure.reason)
