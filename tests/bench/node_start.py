"""How soon an agent serves the proxies of its local copy, and the memory that it takes once it is connected.

    ./dev python -m tests.bench.node_start [--proxies 1000] [--times 5] [--python FILE] [--tree DIRECTORY...]

The node runs from a folder like a bundle's, with its own packages alone. Each run has a host without workers, as after
a boot. `accepts` is the time from exec until the last of all ports
accepts, `serves` until a proxy has answered on the last of them; `cpu` is the agent's own processor time by then.
`rss` and `pss` are of the agent alone, as /proc/PID/smaps_rollup has them, ten seconds after the broker has a consumer.
`health` is the processor time of `maybe-node health`. `--python` is the interpreter, such as the host's own; `--tree`
measures other checkouts, in turns.
"""

import argparse
import asyncio
import compileall
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from node.state.local_copy import CopyChange, StoredProxy
from node.state.store import Store
from shared.proxies import ProxyRecord
from tests.bench.grounds import with_place
from tests.bench.handover import free_ports, proxy_at
from tests.engines.bundles import linked_bundle
from tests.services.rabbitmq import Vhost

HOST = "127.0.0.1"
QUEUE = "mp.node.1"
LIMIT_S = 60.0
SETTLED_S = 10.0
ROOT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figures:
    """Of one start. Times are in seconds, memory is in MiB."""

    accepts: float
    serves: float
    cpu: float
    rss: float
    pss: float
    health: float


@dataclass(frozen=True)
class Host:
    """A data directory with `ports` in its local copy, and the tree whose node is measured."""

    data: Path
    tree: Path
    ports: Sequence[int]
    command: Sequence[str]

    @property
    def environment(self) -> Mapping[str, str]:
        settings = {"NODE_DATA_DIR": str(self.data), "NODE_LISTEN": HOST, "LOG_LEVEL": "warning"}
        return {"PATH": os.environ["PATH"], **settings}

    def popen(self, command: str) -> "subprocess.Popen[bytes]":
        with (self.data / f"{command}.out").open("ab") as output:
            return subprocess.Popen(
                [*self.command, command], cwd="/", env=self.environment, stdout=output, stderr=output
            )


def prepared(data: Path, tree: Path, vhost: Vhost, ports: Sequence[int], python: str = sys.executable) -> Host:
    """Write the identity and the local copy of a node that has these proxies."""
    data.mkdir(mode=0o700)
    config = {"node_id": 1, "name": "bench", "cluster": "bench", "amqp_urls": [vhost.amqp_url], "queue": QUEUE}
    (data / "identity.json").write_text(json.dumps({"config": config, "challenge": None}))
    records = [proxy_at(id_, port) for id_, port in enumerate(ports, 1)]
    store = Store(data / "copy.db")
    store.belong_to("bench/1")
    wanted = {record.id: record.version for record in records}
    change = CopyChange(verdict="taken", rev=1, seen=1, top=1, want=wanted, put=tuple(map(stored, records)))
    store.write(change)
    store.mark_good(list(map(stored, records)))
    store.close()
    _, *options = linked_bundle(data / "bundle", tree=tree)
    compileall.compile_dir(data / "bundle", quiet=1)
    return Host(data, tree, ports, [python, *options])


def stored(record: ProxyRecord) -> StoredProxy:
    return StoredProxy(
        id=record.id, version=record.version, content=record.content, rec_rev=1, record=record, good=record
    )


async def one_start(host: Host, vhost: Vhost) -> Figures:
    """Start the agent, measure, and end it with its proxies."""
    began = time.monotonic()
    agent = host.popen("run")
    try:
        for port in host.ports:
            wait_until_accepting(port, agent, host.data / "run.out")
        accepts = time.monotonic() - began
        wait_until_served(host.ports[-1])
        serves, cpu = time.monotonic() - began, processor_time(agent.pid)
        await wait_until_consumed(vhost)
        await asyncio.sleep(SETTLED_S)
        rss, pss = memory(agent.pid)
        health = child_time(host.popen("health"))
    finally:
        agent.terminate()
        agent.wait()
        host.popen("stop").wait()
        shutil.rmtree(host.data / "builtin")  # counters of earlier runs, which no master has taken
    return Figures(accepts, serves, cpu, rss, pss, health)


def wait_until_accepting(port: int, agent: "subprocess.Popen[bytes]", log: Path) -> None:
    while True:
        with suppress(ConnectionRefusedError), socket.create_connection((HOST, port)):
            return
        if agent.poll() is not None:
            raise SystemExit(f"the agent has ended:\n{log.read_text()[-2000:]}")
        time.sleep(0.002)


def wait_until_served(port: int) -> None:
    with socket.create_connection((HOST, port), timeout=LIMIT_S) as client:
        client.sendall(b"CONNECT 127.0.0.1:9 HTTP/1.1\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 407")


async def wait_until_consumed(vhost: Vhost) -> None:
    async with asyncio.timeout(LIMIT_S), vhost.management() as api:
        while True:
            consumers = (await api.get(f"consumers/{vhost.name}")).raise_for_status().json()
            if any(each["queue"]["name"] == QUEUE for each in consumers):
                return
            await asyncio.sleep(0.2)


def processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def child_time(process: "subprocess.Popen[bytes]") -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def memory(pid: int) -> tuple[float, float]:
    """Resident and proportional set size."""
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines())
    sizes = {fields[0]: int(fields[1]) / 1024 for fields in lines if fields[0] in ("Rss:", "Pss:")}
    return sizes["Rss:"], sizes["Pss:"]


def line(name: str, values: Sequence[float], unit: str) -> str:
    return f"{name:8} median {statistics.median(values):6.2f} {unit}, range {min(values):.2f} to {max(values):.2f}"


async def queue_of_the_node(vhost: Vhost) -> None:
    async with vhost.management() as api:
        (await api.put(f"exchanges/{vhost.name}/mp.master", json={"type": "topic"})).raise_for_status()
        (await api.put(f"queues/{vhost.name}/{QUEUE}", json={})).raise_for_status()


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--proxies", type=int, default=1000)
    arguments.add_argument("--times", type=int, default=5)
    arguments.add_argument("--python", default=sys.executable)
    arguments.add_argument("--tree", type=Path, nargs="+", default=[ROOT])
    wanted = arguments.parse_args()
    async with with_place() as where:
        broker = await where.rabbitmq()
        try:
            await broker.start()
            vhost = await broker.create("bench")
            await queue_of_the_node(vhost)
            ports = free_ports(wanted.proxies)
            folder = where.folder.private("hosts")
            trees = [tree.resolve() for tree in wanted.tree]
            hosts = [
                prepared(folder / str(number), tree, vhost, ports, wanted.python) for number, tree in enumerate(trees)
            ]
            figures: dict[Path, list[Figures]] = {tree: [] for tree in trees}
            for _ in range(wanted.times):
                for host in hosts:
                    figures[host.tree].append(await one_start(host, vhost))
        finally:
            await broker.end()
    for tree, found in figures.items():
        print(f"{tree}: {wanted.proxies} proxies, {wanted.times} starts on {os.cpu_count()} cores")
        for name in ("accepts", "serves", "cpu", "health"):
            print("  " + line(name, [getattr(each, name) for each in found], "s"))
        for name in ("rss", "pss"):
            print("  " + line(name, [getattr(each, name) for each in found], "MiB"))


if __name__ == "__main__":
    asyncio.run(main())
