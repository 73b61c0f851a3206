"""The cluster of compose.yaml, again and again: nodes are enrolled once, nothing is lost, and proxies serve."""

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.containers.compose import Project, docker, eventually, need_containers, origin, require, through
from tests.launch.registry import ROOT
from tests.services.ports import API, claim_block

pytestmark = pytest.mark.long

OVERRIDE = """
services:
  rabbitmq: {ports: !reset []}
  master: {image: maybe-proxy-test-master}
  node:
    image: maybe-proxy-test-node
    environment: {NODE_ALLOW_DESTINATIONS: "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"}
  enrol: {image: maybe-proxy-test-node}
"""
SERVICES = ("postgres", "rabbitmq", "master", "node", "enrol")


@dataclass
class Local(Project):
    """The local cluster with three nodes, a proxy on each."""

    nodes: int = 3

    def up(self, nodes: int = 3) -> None:
        """Do what the head of compose.yaml proposes."""
        self.compose("up", "--detach", "--wait", "--scale", f"node={nodes}")

    def states(self) -> list[str]:
        """Return how the master sees the nodes."""
        return sorted(node["status"]["state"] for node in self.get("/nodes")["items"])

    def serves(self) -> None:
        """Every node is enrolled once, is online with its own data, gets changes, and its proxy serves this machine."""
        found = self.get("/nodes")["items"]
        assert sorted(node["labels"]["slot"] for node in found) == ["1", "2", "3"]
        assert [node["status"]["state"] for node in found] == ["online"] * self.nodes
        assert [event["type"] for event in self.get("/events?limit=1000")["items"]].count("node.enrolled") == 3
        addresses = {
            network["IPAddress"] for each in self.containers("node").values() for network in networks(each).values()
        }
        assert {node["ip"] for node in found} == addresses
        proxies = self.get("/proxies")["items"]
        assert len(proxies) == self.nodes
        for proxy in proxies:
            changed = self.request(
                "PATCH", f"/proxies/{proxy['id']}", {"limits": {"connections": random.randint(100, 10_000)}}
            )
            assert changed["status"]["observed_version"] == changed["version"]
        with origin(self.gateway) as url:
            assert [through(proxy["urls"][0], url) for proxy in proxies] == ["origin"] * self.nodes


def networks(container: dict[str, dict[str, dict[str, dict[str, str]]]]) -> dict[str, dict[str, str]]:
    return container["NetworkSettings"]["Networks"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    need_containers()
    override = tmp_path_factory.mktemp("compose") / "override.yaml"
    override.write_text(OVERRIDE)
    with claim_block().held() as ports:
        made = Local("maybe-proxy-test", [ROOT / "compose.yaml", override], ports.port(API))
        try:
            made.compose("build")
            made.up()
            for node in made.get("/nodes")["items"]:
                made.request("POST", "/proxies", {"node_ids": [node["id"]]})
            yield made
        finally:
            print(made.attempt("logs", "--tail=30").stdout)
            made.attempt("down", "--volumes", "--timeout=5")
            subprocess.run(["docker", "rmi", "maybe-proxy-test-master", "maybe-proxy-test-node"], check=False)


def test_up_again_restarts_nothing(cluster: Local) -> None:
    cluster.serves()
    before = cluster.started()
    cluster.up()
    assert cluster.started() == before
    cluster.serves()


def test_scaling_down_and_up_brings_the_same_nodes_back(cluster: Local) -> None:
    before = cluster.get("/proxies")["items"]
    cluster.up(1)
    eventually(lambda: require(cluster.states() == ["offline", "offline", "online"], "two nodes are not offline"))
    cluster.up()
    eventually(cluster.serves)
    assert [proxy["id"] for proxy in cluster.get("/proxies")["items"]] == [proxy["id"] for proxy in before]


def test_down_and_up_loses_nothing(cluster: Local) -> None:
    cluster.compose("down")
    cluster.up()
    eventually(cluster.serves)


@pytest.mark.parametrize("service", SERVICES)
def test_the_cluster_serves_again_after_a_restart_of(cluster: Local, service: str) -> None:
    cluster.compose("restart", service)
    eventually(cluster.serves)


@pytest.mark.parametrize("service", SERVICES)
def test_the_cluster_serves_again_after_the_program_was_killed_in(cluster: Local, service: str) -> None:
    killed = cluster.containers(service)
    for container in killed.values():
        os.kill(container["State"]["Pid"], signal.SIGKILL)
    before = {name: each["State"]["StartedAt"] for name, each in killed.items()}
    eventually(lambda: require(not before.items() & cluster.started().items(), "not all were started again"))
    eventually(cluster.serves)


@pytest.mark.parametrize("seed", range(3))
def test_containers_that_the_host_stopped_start_in_any_order(cluster: Local, seed: int) -> None:
    names = sorted(cluster.started())
    docker("stop", "--time=10", *names)
    random.Random(seed).shuffle(names)
    for name in names:
        docker("start", name)
    eventually(cluster.serves)
    eventually(lambda: require(all_healthy(cluster), "not all containers are healthy"))


def all_healthy(cluster: Local) -> bool:
    return all(each["State"]["Health"]["Status"] == "healthy" for each in cluster.containers().values())


def test_our_containers_have_no_privileges_and_write_nothing_but_volumes(cluster: Local) -> None:
    for container in cluster.containers("master", "node", "enrol").values():
        status = Path(f"/proc/{container['State']['Pid']}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert {fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
        assert (fields["Uid"].split(), fields["NoNewPrivs"]) == (["10001"] * 4, "1")
        assert container["HostConfig"]["ReadonlyRootfs"]


def test_both_doctors_find_no_problem(cluster: Local) -> None:
    cluster.compose("exec", "-T", "master", "maybe-master", "doctor")
    cluster.compose("exec", "-T", "node", "maybe-node", "doctor")


def test_programs_end_quickly_when_they_are_stopped(cluster: Local) -> None:
    for name in cluster.containers("master", "node", "enrol"):
        docker("stop", "--time=60", name)
        assert docker("inspect", "--format={{.State.ExitCode}}", name) == "0"
        docker("start", name)
    eventually(cluster.serves)
