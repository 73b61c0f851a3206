"""A broker that is frozen, full or wiped, and logins that vanish: nothing stops, all heals."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aio_pika
import pytest
from aiormq.exceptions import AMQPError

from tests.acceptance.conftest import eventually, made
from tests.clients.traffic import Client
from tests.cluster.cluster import Cluster, succeeded
from tests.services.programs import Process
from tests.services.rabbitmq import RabbitMQ, Vhost

HEALED_S = 120
FEW = 400
"""File descriptors; about half of them are the broker's own."""
CONTROL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
ALARMS = {
    "memory": (["set_vm_memory_high_watermark", "absolute", "1MB"], ["set_vm_memory_high_watermark", "0.4"]),
    "disk": (["set_disk_free_limit", str(10**15)], ["set_disk_free_limit", "50MB"]),
}

pytestmark = pytest.mark.long


@pytest.fixture
def broker(rabbitmq: RabbitMQ) -> RabbitMQ:
    """A broker whose process and tools are at hand."""
    if not isinstance(rabbitmq.program, Process) or not os.access(CONTROL, os.X_OK):
        pytest.skip("the broker of this run is not a process of ours: it cannot be steered from inside")
    return rabbitmq


def control(broker: RabbitMQ, *words: str) -> None:
    """rabbitmqctl, with the broker's own account and environment."""
    program = broker.program
    assert isinstance(program, Process)
    account = program.account
    done = subprocess.run(
        [CONTROL, *words],
        check=False,
        capture_output=True,
        env=program.environment,
        cwd="/",
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        timeout=60,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)


@asynccontextmanager
async def undone(act: Callable[[], object]) -> AsyncIterator[None]:
    """Do it on leaving: the broker is everybody's."""
    try:
        yield
    finally:
        act()


@pytest.mark.parametrize("kind", ["memory", pytest.param("disk", marks=pytest.mark.long)])
async def test_an_alarm_of_the_broker_stops_no_proxy_and_no_answer_and_what_was_asked_is_done_after_it(
    fleet: Cluster, client: Client, broker: RabbitMQ, kind: str
):
    proxy = await made(fleet)
    kept = await client.tunnel(proxy)
    raise_, lift = ALARMS[kind]
    async with undone(lambda: control(broker, *lift)):
        control(broker, *raise_)
        asked = succeeded(await fleet.api.post("/proxies", json={"location_id": 1})).json()
        succeeded(await fleet.api.patch(f"/proxies/{asked['id']}", json={"password": "another-one-1"}))
        await eventually(lambda: logged(fleet, "master", "check_sync.not_sent"), 60)
        await kept.beat()
        await client.use(proxy)
        assert not await logged(fleet, "master", "bus.unconfirmed")
    await fleet.converged(within=HEALED_S)
    await kept.beat()


@pytest.mark.long
async def test_a_frozen_broker_stops_no_proxy_and_no_answer(fleet: Cluster, client: Client, broker: RabbitMQ):
    kept = await client.tunnel(await made(fleet))
    await fleet.freeze("rabbitmq")
    try:
        for _ in range(3):
            succeeded(await fleet.api.post("/proxies", json={"location_id": 1}))
        await eventually(lambda: logged(fleet, "master", "check_sync.not_sent"), 60)
        await kept.beat()
    finally:
        await fleet.thaw("rabbitmq")
    await fleet.converged(within=HEALED_S)
    await kept.beat()


async def logged(fleet: Cluster, name: str, text: str) -> bool:
    return text in fleet.programs[name].log.read_text()


@pytest.mark.long
async def test_a_broker_whose_data_was_wiped_is_set_up_again(fleet: Cluster, client: Client, broker: RabbitMQ):
    kept = await client.tunnel(await made(fleet))
    await fleet.kill("rabbitmq")
    program = broker.program
    assert isinstance(program, Process)
    shutil.rmtree(Path(program.environment["RABBITMQ_MNESIA_BASE"]))
    succeeded(await fleet.api.post("/proxies", json={"location_id": 1}))
    await fleet.start("rabbitmq")
    await broker.create(fleet.vhost.name)
    await fleet.converged(within=HEALED_S)
    await kept.beat()


@pytest.fixture
async def narrow(broker: RabbitMQ) -> AsyncIterator[RabbitMQ]:
    """The broker, with few file descriptors for as long as the test lasts."""
    program = broker.program
    assert isinstance(program, Process)
    command = program.command
    await broker.kill()
    program.command = ["prlimit", f"--nofile={FEW}", *command]
    await broker.start()
    yield broker
    await broker.kill()
    program.command = command
    await broker.start()


@pytest.mark.long
async def test_a_broker_out_of_file_descriptors_stops_no_proxy_and_all_is_done_when_there_are_some(
    narrow: RabbitMQ, fleet: Cluster, client: Client
):
    kept = await client.tunnel(await made(fleet))
    await fleet.kill("master")
    async with AsyncExitStack() as stack:
        await use_up(stack, fleet.vhost)
        await fleet.start("master")
        asked = succeeded(await fleet.api.post("/proxies", json={"location_id": 1})).json()
        await eventually(lambda: logged(fleet, "master", '"bus.down"'), 60)
        await kept.beat()
        assert succeeded(await fleet.api.get(f"/proxies/{asked['id']}")).json()["status"]["state"] == "pending"
    await fleet.converged(within=HEALED_S)
    await kept.beat()


async def use_up(stack: AsyncExitStack, vhost: Vhost) -> None:
    """Logged-in connections, until the broker takes no more."""
    for _ in range(FEW):
        try:
            connection = await aio_pika.connect(f"{vhost.amqp_url}?heartbeat=0", timeout=5)
        except (AMQPError, OSError, TimeoutError):
            return
        stack.push_async_callback(connection.close)
    raise AssertionError("the broker still takes everybody")


@pytest.mark.long
async def test_a_login_deleted_behind_the_masters_back_is_made_again(fleet: Cluster, client: Client):
    kept = await client.tunnel(await made(fleet, node_ids=[1]))
    async with fleet.vhost.management() as broker:
        (await broker.delete("users/node-1")).raise_for_status()
    succeeded(await fleet.api.post("/proxies", json={"node_ids": [1]}))
    await eventually(lambda: logged(fleet, fleet.name_of(1), '"bus.refused"'), 60)
    await fleet.converged(within=HEALED_S)
    await kept.beat()
