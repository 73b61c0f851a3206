"""The live figures that nodes report, and how the API shows them."""

from typing import Any

from master.sync.reports import Reports
from shared.messages.bodies import LiveFigures, LoadReport
from tests.integration.conftest import Api
from tests.integration.domain.usage.conftest import Node

LOAD = LoadReport(cpu=0.31, memory=0.42, rx_bps=100, tx_bps=2000, connections=5)


async def report(node: Node, *live: LiveFigures, load: LoadReport | None = LOAD) -> None:
    await node.tell(load=load, live=live)


async def live(api: Api, proxy_id: int) -> tuple[int | None, dict[str, int] | None]:
    """The proxy's connections and rates."""
    proxy = await api.call("GET", f"/proxies/{proxy_id}", 200)
    return proxy["status"]["connections"], proxy["usage"]["now"]


def figures(id_: int) -> LiveFigures:
    return LiveFigures(id=id_, connections=4, rx_bps=100, tx_bps=2000)


RATES = {"rx_bps": 100, "tx_bps": 2000}
NONE = {"rx_bps": 0, "tx_bps": 0}


async def load_of(api: Api, node: Node) -> dict[str, Any] | None:
    return (await api.call("GET", f"/nodes/{node.id}", 200))["status"]["load"]


async def test_a_node_shows_the_load_of_its_last_report_while_it_is_online(api: Api, node: Node):
    await report(node)
    assert await load_of(api, node) == LOAD.model_dump()
    await api.report(node.id, online=False)
    assert await load_of(api, node) is None


async def test_proxies_show_the_live_figures_of_their_node_and_zero_where_it_reports_none(api: Api, node: Node):
    first, second = [(await api.proxy(node.id))["id"] for _ in range(2)]
    await report(node, figures(first))
    assert await live(api, first) == (4, RATES)
    assert await live(api, second) == (0, NONE)
    await report(node, LiveFigures(id=first))
    assert await live(api, first) == (0, NONE)


async def test_nothing_is_known_of_proxies_whose_node_is_offline_or_has_an_agent_that_reports_no_load(
    api: Api, node: Node
):
    proxy = (await api.proxy(node.id))["id"]
    await report(node, load=None)
    assert await live(api, proxy) == (None, None)
    await report(node, figures(proxy))
    await api.report(node.id, online=False)
    assert await live(api, proxy) == (None, None)


async def test_3proxy_does_not_tell_its_open_connections(api: Api, reports: Reports):
    node = Node(await api.node(engines=("3proxy",)), reports)
    proxy = (await api.proxy(node.id, engine="3proxy"))["id"]
    await report(node, LiveFigures(id=proxy, rx_bps=100, tx_bps=2000))
    assert await live(api, proxy) == (None, RATES)


async def test_figures_that_a_node_has_not_repeated_for_minutes_count_as_zero(api: Api, node: Node):
    proxy = (await api.proxy(node.id))["id"]
    await report(node, figures(proxy))
    await api.rows.execute("UPDATE proxy_live SET at = at - interval '3 minutes'")
    assert await live(api, proxy) == (0, NONE)


async def test_a_node_reports_figures_of_its_own_proxies_only(api: Api, reports: Reports, node: Node):
    proxy = (await api.proxy(node.id))["id"]
    other = Node(await api.node(), reports)
    await report(other, figures(proxy), figures(10**6))
    assert await api.rows.fetchval("SELECT count(*) FROM proxy_live") == 0


async def test_live_figures_change_neither_versions_nor_revisions_and_write_no_events(api: Api, node: Node):
    proxy = (await api.proxy(node.id))["id"]
    await report(node)
    facts = "SELECT p.xmin, n.xmin, (SELECT max(id) FROM events) FROM proxies p, nodes n WHERE n.id = p.node_id"
    before = await api.rows.fetchrow(facts)
    await report(node, figures(proxy))
    assert await api.rows.fetchrow(facts) == before


async def test_old_figures_and_those_of_removed_proxies_are_forgotten(api: Api, reports: Reports, node: Node):
    first, second = [(await api.proxy(node.id))["id"] for _ in range(2)]
    await report(node, figures(first), figures(second))
    await api.call("DELETE", f"/proxies/{first}", 204)
    assert await api.rows.fetchval("SELECT array_agg(proxy_id) FROM proxy_live") == [second]
    await api.rows.execute("UPDATE proxy_live SET at = at - interval '2 hours'")
    await reports.forget_old()
    assert await api.rows.fetchval("SELECT count(*) FROM proxy_live") == 0
