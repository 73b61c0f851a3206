"""A node that tells counters of a proxy, and the sums that the API makes of them."""

from typing import Any

import pytest

from master.db.database import Database
from master.sync.outbox import Outbox
from master.sync.reports import Reports
from shared.messages.bodies import Report, UsageCounters
from shared.proxies import NodeId
from tests.integration.bus.test_reports import EMPTY, take
from tests.integration.conftest import Api
from tests.master.one_link import OneLink

SUMS = ("received_bytes", "sent_bytes", "connections", "refused")


class Node:
    """Tells counters, each report under a number of its own."""

    def __init__(self, id_: int, reports: Reports) -> None:
        self.id, self._reports, self._number = NodeId(id_), reports, 0

    async def tell(self, *counters: UsageCounters, number: int | None = None, **more: Any) -> None:
        self._number += 1
        said = {"rev": 1, "seen": 1, "top": 0, "digest": EMPTY, "content": EMPTY, "count": 0, "running": 0}
        told = {"session": 1000, "number": number or self._number, "usage": counters, **more}
        await take(self._reports, self.id, Report.model_validate({**said, **told}))


def counted(id_: int, sent: int, received: int = 0, *, epoch: int = 1, **more: Any) -> UsageCounters:
    return UsageCounters(id=id_, epoch=epoch, sent_bytes=sent, received_bytes=received, **more)


async def sums(api: Api, query: str = "") -> list[dict[str, Any]]:
    return (await api.call("GET", f"/usage?{query}", 200))["items"]


async def sent(api: Api, query: str = "") -> int:
    return sum(one["sent_bytes"] for one in await sums(api, query))


@pytest.fixture
def reports(rows: Database) -> Reports:
    return Reports(rows, Outbox(rows, OneLink(), "c"))


@pytest.fixture
async def node(api: Api, reports: Reports) -> Node:
    return Node(await api.node(), reports)


@pytest.fixture
async def proxy(api: Api, node: Node) -> int:
    return (await api.proxy(node.id, name="mine"))["id"]
