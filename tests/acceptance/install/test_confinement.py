"""The node under all that its unit restricts: user, capabilities, read-only root, system calls."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.acceptance.conftest import eventually
from tests.clients.traffic import Client
from tests.cluster.cluster import Cluster
from tests.engines.three_proxy_binaries import binaries
from tests.install.hosts import Host, bare_host
from tests.install.unit_files import allowed_calls, unit_in

pytestmark = pytest.mark.long


def processes(host: Host) -> dict[int, str]:
    """The processes of the node's user by id, with their states of proc(5)."""
    uid = next(
        line.split(":")[2] for line in host.root.text("etc/passwd").splitlines() if line.startswith("maybe-node:")
    )
    found: dict[int, str] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if re.search(rf"^Uid:\s+{uid}\s+{uid}", text, re.MULTILINE):
            found[int(status.parts[2])] = text
    return found


async def test_a_node_does_all_of_its_work_under_what_the_unit_restricts(host: Host, client: Client) -> None:
    installed = await host.install()
    assert (installed.returncode, installed.stderr) == (0, ""), installed.stdout
    assert "curl -X POST" in installed.stdout
    await host.enrol()
    proxies = [(await host.proxies(1, protocol=protocol))[0] for protocol in ("http", "mixed")]
    if binaries():
        proxies += await host.proxies(1, protocol="http", engine="3proxy")
    tunnels = [await client.tunnel(proxy) for proxy in proxies]
    for tunnel in tunnels:
        await tunnel.beat(1 << 20)

    for text in processes(host).values():
        assert re.search(r"^NoNewPrivs:\s+1$", text, re.MULTILINE)
        assert re.search(r"^Seccomp:\s+2$", text, re.MULTILINE)
        assert re.search(r"^CapBnd:\s+0{13}400$", text, re.MULTILINE)
    agent = host.services.process
    assert agent
    workers = processes(host).keys() - {agent.pid}

    host.services.kill()
    await eventually(lambda: restarted(host), 60)
    for tunnel in tunnels:
        await tunnel.beat()
    assert workers & processes(host).keys()
    assert (await host.command("upgrade-engine")).returncode == 0
    for tunnel in tunnels:
        await tunnel.beat()
    assert (await host.command("health", "--deep")).returncode == 0
    assert (await host.command("doctor", "--json")).returncode in (0, 1)
    await client.use((await host.proxies(1, protocol="mixed"))[0])
    for refusal in ("EPERM", "Operation not permitted", "Traceback"):
        assert refusal not in host.services.log


async def restarted(host: Host) -> bool:
    """Whether the agent, which was killed, is ready again."""
    return host.services.words["READY=1"] >= 2


async def test_the_service_cannot_do_what_the_unit_forbids(host: Host) -> None:
    """The stand-in for systemd really restricts: otherwise the test above would show nothing."""
    assert (await host.install()).returncode == 0
    attempts = {
        "write /opt": "open('/opt/maybe-node/x', 'w')",
        "write /etc": "open('/etc/x', 'w')",
        "chown": "__import__('os').chown('/var/lib/maybe-node', 1, 1)",
        "packet socket": "__import__('socket').socket(17, 2)",
        "namespace": "__import__('ctypes').CDLL(None, use_errno=True).unshare(0x20000) and 1/0",
        "executable memory": "__import__('mmap').mmap(-1, 4096, prot=7)",
        "suid": "__import__('os').chmod('/var/lib/maybe-node', 0o4700)",
        "affinity": "__import__('os').sched_setaffinity(0, {0})",
        "see others": "1 / len([p for p in __import__('os').listdir('/proc') if p == '1'])",
    }
    allowed = {"write its data": "open('/var/lib/maybe-node/x', 'w')", "write /tmp": "open('/tmp/x', 'w')"}
    for name, code in attempts.items():
        assert await asyncio.to_thread(host.services.run_confined, code) != 0, name
    for name, code in allowed.items():
        assert await asyncio.to_thread(host.services.run_confined, code) == 0, name


async def test_the_system_calls_of_agent_and_workers_are_inside_the_filter(
    offering: Cluster, tmp_path: Path, client: Client
) -> None:
    traced = "/var/lib/maybe-node/calls"
    (tmp_path / "traced").mkdir()
    wrapped = (
        "strace",
        "--daemonize",
        "--follow-forks",
        "--output-separately",
        "--quiet=all",
        "--signal=none",
        "-o",
        traced,
    )
    with bare_host(tmp_path / "traced", offering, wrapped=wrapped) as host:
        host.root.add("strace")
        installed = await host.install()
        assert installed.returncode == 0, installed.stderr
        await host.enrol()
        for protocol in ("http", "socks5", "mixed"):
            [proxy] = await host.proxies(1, protocol=protocol)
            if protocol != "socks5":
                await (await client.tunnel(proxy)).beat(1 << 20)
        if binaries():
            [other] = await host.proxies(1, protocol="http", engine="3proxy")
            await (await client.tunnel(other)).beat(1 << 20)
        assert (await host.command("upgrade-engine")).returncode == 0
        await client.use(proxy)
        allowed = allowed_calls(unit_in(host.root.path, "maybe-node.service"))
    files = list((tmp_path / "traced/var/lib/maybe-node").glob("calls.*"))
    used = {name for file in files for name in re.findall(r"^(\w+)\(", file.read_text(errors="replace"), re.MULTILINE)}
    print(len(files), "processes and threads;", len(used), "system calls:", *sorted(used))
    assert len(files) > 5
    assert {"socket", "splice", "epoll_wait"} <= used
    assert used - allowed - {"execve"} == set()
