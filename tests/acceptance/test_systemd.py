"""The node under a real systemd: units, restarts, upgrades and reboots of a Debian that QEMU emulates.

The tests share one machine. A real master is there while the node is installed and enrolled; in every test it is away,
and so is the broker.
"""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.release.bundles import make_release
from tests.services.ports import HOST, claim_block
from tests.services.postgres import PostgreSQL
from tests.services.rabbitmq import RabbitMQ
from tests.services.sources import Where
from tests.systemd.guest import GATE, running_guest
from tests.systemd.image import guest_root
from tests.systemd.node import DOWNLOAD, ENROL, GuestNode, install
from tests.systemd.streams import beat, opened, streaming
from tests.upgrades.releases import served

pytestmark = pytest.mark.long

OLD, NEW, LATEST = "0.2.0", "0.2.1", "0.2.2"
UNITS = ("maybe-node.service", "maybe-node-upgrade.path", "maybe-node-upgrade.service")
REACTOR = "lib/node/engine/builtin/net/reactor.py"
UNIT = "systemd/maybe-node.service"
AGENT = "lib/node/commands/run.py"
SOURCES = Path(__file__).parents[2]
DENIED = re.compile("permission|not permitted|EPERM|EACCES|read-only file system|traceback", re.IGNORECASE)

MEANT = re.compile(
    "left-over process|unclean termination|Main process exited|Failed with result|Watchdog timeout|Killing process"
)
"""What systemd warns of when workers outlive their agent, and when a test ends the agent."""


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for versions, each below its own name."""
    guest_root()  # may skip
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the guest has Python 3.11, so the bundles have to be made by that version")
    return tmp_path_factory.mktemp("releases")


@pytest.fixture(scope="module")
def node(releases: Path, where: Where, postgres: PostgreSQL, rabbitmq: RabbitMQ, template: str) -> Iterator[GuestNode]:
    """A node of version OLD that was installed, enrolled and given proxies by a master."""
    release = make_release(releases / OLD, OLD)
    keys = releases / "keys"
    keys.write_text(f"{release.public_key}\n")
    with served(releases) as url, claim_block().held() as ports:
        inward = [where.ports.port(ENROL), *(ports.port(number) for number in range(1, 10))]
        outward = [where.ports.port(DOWNLOAD), rabbitmq.admin.used_ports[0], int(url.rpartition(":")[2])]
        with running_guest(inward, outward) as guest:
            made = GuestNode(guest, ports, url.replace(HOST, GATE))
            settings = {"BUNDLE_DIR": str(release.folder), "RELEASE_KEYS_FILE": str(keys)}
            asyncio.run(install(made, where, postgres, rabbitmq, template, settings))
            yield made
            print(f"boots took {guest.boots} s\n{made.journal()}")


def source(path: str) -> bytes:
    """Read a file of the bundle as it is."""
    folder = SOURCES / "node" if path.startswith("systemd/") else SOURCES
    return (folder / path.removeprefix("lib/")).read_bytes()


def assert_quiet(node: GuestNode) -> None:
    """Check that nothing of the units was denied, and that systemd does not complain about them."""
    lines = node.journal().splitlines()
    assert [line for line in lines if DENIED.search(line)] == []
    complaints = node.guest.out("journalctl", "-b", "-q", "--no-pager", "_PID=1", "-p", "warning")
    lines = [line for line in complaints.splitlines() if "maybe-node" in line]
    assert [line for line in lines if not MEANT.search(line)] == []


def test_the_installed_units_are_active_hardened_and_without_complaints(node: GuestNode) -> None:
    assert (node.show("ActiveState"), node.show("NRestarts"), node.show("StatusErrno")) == ("active", "0", "0")
    assert node.show("ActiveState", "maybe-node-upgrade.path") == "active"
    for name in UNITS[:2]:
        assert node.guest.out("systemctl", "is-enabled", name) == "enabled"
    found = node.guest.run("systemd-analyze", "verify", *(f"/etc/systemd/system/{name}" for name in UNITS))
    assert (found.code, found.stdout, found.stderr) == (0, "", "")
    level = node.guest.out("systemd-analyze", "security", "--no-pager", "maybe-node.service").splitlines()[-1]
    assert float(re.findall(r"\d+\.\d", level)[-1]) <= 1.8, level
    print(f"{level}\nstatus: {node.show('StatusText')}")
    assert_quiet(node)


def test_the_line_changes_nothing_when_it_is_pasted_again(node: GuestNode) -> None:
    assert "nothing was changed" in node.repeated
    assert "restart" not in node.repeated


def restarted(node: GuestNode) -> None:
    node.guest.out("systemctl", "restart", "maybe-node")


def killed(node: GuestNode) -> None:
    node.guest.out("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "maybe-node")


def frozen(node: GuestNode) -> None:
    """The agent stops to answer; the watchdog notices it."""
    agent = node.agent
    node.guest.out("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "maybe-node")
    limit_s = 4 * 60
    node.wait(lambda: node.agent not in (agent, 0), "for the watchdog", limit_s)


def stopped_and_started(node: GuestNode) -> None:
    node.guest.out("systemctl", "stop", "maybe-node")
    assert node.agent == 0
    node.guest.out("systemctl", "start", "maybe-node")


@pytest.mark.parametrize("fault", [restarted, killed, frozen, stopped_and_started], ids=lambda fault: fault.__name__)
def test_connections_and_workers_outlive_the_agent(node: GuestNode, fault: Callable[[GuestNode], None]) -> None:
    agent, workers = node.agent, node.workers
    with streaming(node.proxies) as streams:
        fault(node)
        node.wait(lambda: node.agent not in (agent, 0) and node.show("ActiveState") == "active", "for the next agent")
        node.wait_healthy()
        for stream in streams:
            stream.assert_flows()
    assert node.workers == workers != set()
    node.wait(lambda: node.show("StatusText").startswith("3 of 3 proxies run"), "for the status", 60)
    assert_quiet(node)


def test_agent_connections_and_workers_outlive_a_new_systemd(node: GuestNode) -> None:
    agent, workers = node.agent, node.workers
    with streaming(node.proxies):
        node.guest.out("systemctl", "daemon-reexec")
        node.wait_healthy()
    assert (node.agent, node.workers) == (agent, workers)
    node.guest.out("systemctl", "restart", "maybe-node")  # the new one knows which processes are the unit's
    node.wait_healthy()
    assert node.workers == workers


def test_an_upgrade_by_the_units_keeps_every_connection(node: GuestNode, releases: Path) -> None:
    agent = node.agent
    changed = {path: source(path) + b"\n# of a later version\n" for path in (REACTOR, UNIT)}
    release = make_release(releases / NEW, NEW, replaced=changed)
    with streaming(node.proxies):
        state = node.upgrade(release, 1)
        assert (state["state"], state["version"], state["from"]) == ("done", NEW, OLD), node.journal()
        node.wait_healthy()
    assert node.agent != agent
    assert node.version == NEW
    assert node.guest.out("tail", "-n", "1", "/etc/systemd/system/maybe-node.service") == "# of a later version"
    assert node.guest.out("readlink", "/opt/maybe-node/current", "/opt/maybe-node/previous").split() == [
        f"versions/{NEW}",
        f"versions/{OLD}",
    ]
    assert_watching(node)
    assert_quiet(node)


def test_a_version_that_crashes_is_rolled_back_and_keeps_every_connection(node: GuestNode, releases: Path) -> None:
    before, workers = node.version, node.workers
    release = make_release(releases / LATEST, LATEST, replaced={AGENT: b"raise SystemExit(3)\n"})
    with streaming(node.proxies):
        state = node.upgrade(release, 2)
        assert (state["state"], state["version"]) == ("rolled_back", LATEST), node.journal()
        assert state["reason"]
        node.wait_healthy()
    assert (node.version, node.workers) == (before, workers)
    assert_watching(node)


def assert_watching(node: GuestNode) -> None:
    """Check that the request is gone, and that the next one would be noticed."""
    assert node.guest.run("test", "-e", "/var/lib/maybe-node/upgrade/request.json").code == 1
    assert node.show("SubState", "maybe-node-upgrade.path") == "waiting"
    assert node.show("Result", "maybe-node-upgrade.service") == "success"


def test_an_upgrade_that_fails_before_it_has_read_the_request_is_not_tried_without_a_pause(
    node: GuestNode, releases: Path
) -> None:
    release = make_release(releases / LATEST, LATEST)
    name = "maybe-node-upgrade.service"
    with node.changed_upgrade("[Service]\nExecStart=\nExecStart=/bin/false\n"):
        node.request(release, 3)
        node.wait(lambda: node.show("SubState", name) == "stop-post", "for the pause", 60)
        node.guest.out("rm", "/var/lib/maybe-node/upgrade/request.json")
        assert node.guest.out("journalctl", "-b", "-q", "-o", "cat", "-u", name).count("status=1/FAILURE") == 1
        node.wait(lambda: node.show("SubState", name) == "failed", "for its end", 200)
    node.guest.out("systemctl", "reset-failed", name)


def test_proxies_serve_after_a_reboot_although_the_master_is_away(node: GuestNode) -> None:
    proxy = node.proxies[0]
    node.guest.out("sh", "-c", f"echo {proxy['port']} >/var/lib/first-accept")
    node.guest.reboot()
    node.wait_healthy()
    for each in node.proxies:
        tunnel = opened(each)
        beat(tunnel)
        tunnel.close()
    accepted = int(node.guest.out("cat", "/run/first-accept"))
    names = ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    started, active = (int(node.show(name)) for name in names)
    print(
        f"the first proxy accepted {(accepted - started) / 1e6:.1f} s after the agent's start, the unit was active "
        f"after {(active - started) / 1e6:.1f} s; a loop takes {slowness(node):.0f} times as long in the guest as here"
    )
    assert_quiet(node)


def slowness(node: GuestNode) -> float:
    """How many times as long the interpreter takes in the guest."""
    text = "import time; began = time.process_time(); sum(range(3_000_000)); print(time.process_time() - began)"
    here = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return float(node.guest.out("python3", "-c", text)) / float(here.stdout)


def test_purging_leaves_no_unit_user_process_or_file(node: GuestNode) -> None:
    node.guest.out("sh", "/root/install.sh", "--uninstall", "--purge", limit_s=600)
    assert node.guest.run("sh", "-c", "ls -d /opt/maybe-node* /etc/maybe-node* /var/lib/maybe-node*").stdout == ""
    assert node.guest.run("sh", "-c", "ls /etc/systemd/system/*maybe* /usr/local/bin/maybe-node").stdout == ""
    assert node.guest.run("getent", "passwd", "maybe-node").code == 2
    assert node.guest.run("sh", "-c", "grep -l maybe-node.service /proc/[0-9]*/cgroup").stdout == ""
    assert node.guest.out("systemctl", "list-units", "--all", "--no-legend", "maybe-node*") == ""
