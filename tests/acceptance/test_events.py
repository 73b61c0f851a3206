"""Events of real programs: a stream across a master's restart, and the way of a request's id to the node."""

import pytest

from tests.acceptance.conftest import eventually
from tests.cluster.cluster import Cluster, succeeded
from tests.master.api_servers import Events

STREAM = {"Accept": "text/event-stream"}


async def test_a_stream_ends_at_once_when_its_master_is_stopped_and_goes_on_at_the_next(bare: Cluster):
    async with bare.api.stream("GET", "/events?type=location.*", headers=STREAM) as answer:
        stream = Events(answer.aiter_lines())
        succeeded(await bare.api.post("/locations", json={"name": "one"}))
        assert (await stream.next())[1]["details"]["name"] == "one"
        await bare.stop("master")
        with pytest.raises(EOFError):
            await stream.next()
    assert "graceful shutdown exceeded" not in bare.masters["master"].log.read_text()
    await bare.start("master")
    succeeded(await bare.api.post("/locations", json={"name": "two"}))
    async with bare.api.stream("GET", "/events", headers=STREAM | {"Last-Event-ID": str(stream.last)}) as answer:
        assert (await Events(answer.aiter_lines()).next())[1]["details"]["name"] == "two"


async def test_the_id_of_a_request_is_in_the_log_of_the_node_that_acts_on_it(bare: Cluster):
    node = await bare.node()
    succeeded(await bare.api.post("/proxies", json={"node_ids": [node.id]}, headers={"X-Request-Id": "order-4711"}))

    async def is_told() -> bool:
        lines = node.agent.log.read_text().splitlines()
        return any("list.taken" in line and "order-4711" in line for line in lines)

    await eventually(is_told, 10)
    assert "order-4711" in bare.masters["master"].log.read_text()
    assert "maybe_bus_up 1" in (await bare.api.get("/metrics")).text
