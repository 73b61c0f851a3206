"""What the 3proxy engine promises beyond the contract of all engines, shown with the real program."""

import asyncio
import json
import os
import shutil
import signal
import socket
import string
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from node.engine import EngineError
from node.engine.three_proxy import ThreeProxyEngine, find_binary, version
from node.engine.three_proxy.listening import holds, listener
from node.engine.three_proxy.process import LOG_BYTES
from shared.proxies import CREDENTIAL_MAX
from tests.integration.test_engine_contract import (
    ALICE,
    ELSEWHERE,
    HERE,
    LIMIT_S,
    PAGE,
    RefusedError,
    accepts,
    answer_echo,
    answer_page,
    dialled,
    fetch,
    free_port,
    listener_pids,
    open_to,
    record,
    serving,
    tunnel,
    until,
)

USERNAME_MARKS = "!$%&'()+-./<=>?@[]^_`{|}~"
PASSWORD_MARKS = USERNAME_MARKS + "#*,:;"
LETTERS = string.ascii_letters + string.digits


@pytest.fixture
def binary() -> Path:
    found = os.environ.get("THREE_PROXY") or shutil.which("3proxy")
    if found is None:
        pytest.skip("3proxy is neither named by THREE_PROXY nor on PATH")
    return Path(found)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "engine"


@pytest.fixture
async def page() -> AsyncIterator[int]:
    async with serving(answer_page) as port:
        yield port


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    async with serving(answer_echo) as port:
        yield port


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A program that is none of the engine's business."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


@asynccontextmanager
async def opened(directory: Path, binary: Path, **options: Any) -> AsyncIterator[ThreeProxyEngine]:
    async with ThreeProxyEngine(directory, binary=binary, **{"listen": HERE} | options) as engine:
        try:
            yield engine
        finally:
            await engine.halt()


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return path


def processes_of(directory: Path) -> list[int]:
    """Every process that was started with a file of the directory."""
    found: list[int] = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            if os.fsencode(directory) in Path(f"/proc/{name}/cmdline").read_bytes():
                found.append(int(name))
    return found


async def vanished(directory: Path) -> None:
    async def none_left() -> bool:
        return not processes_of(directory)

    await until(none_left)


def logins() -> list[tuple[str, str]]:
    """Every mark that is allowed, alone and with others, all characters together, and up to 188 bytes."""
    alone = [(mark, "password") for mark in USERNAME_MARKS] + [("name", mark) for mark in PASSWORD_MARKS]
    doubled = [(2 * a, 2 * b) for a, b in zip(USERNAME_MARKS, PASSWORD_MARKS, strict=False)]
    together = (LETTERS + USERNAME_MARKS, LETTERS + PASSWORD_MARKS)
    return [*alone, *doubled, together, ("n" * 67, "p" * CREDENTIAL_MAX), ("n" * CREDENTIAL_MAX, "p" * 67)]


async def gets_in_alone(engine: ThreeProxyEngine, login: tuple[str, str], page: int) -> None:
    """Nobody else does: neither a longer name nor a longer password."""
    await engine.start(proxy := record(1, username=login[0], password=login[1]))
    for way in ("connect", "socks5"):
        assert await fetch(proxy, page, login, way=way) == PAGE, login
        for wrong in ((login[0], login[1] + "x"), (login[0] + "x", login[1])):
            with pytest.raises(RefusedError):
                await fetch(proxy, page, wrong, way=way)
    await engine.stop(1)


async def test_every_allowed_login_gets_in_and_a_changed_one_does_not(directory: Path, binary: Path, page: int) -> None:
    async with opened(directory, binary) as engine:
        for login in logins():
            await gets_in_alone(engine, login, page)


async def test_the_longest_login_gets_in(directory: Path, binary: Path, page: int) -> None:
    if (await version(binary)).startswith("0."):
        pytest.skip("before 1.0 an HTTP login of more than 189 bytes is refused")
    async with opened(directory, binary) as engine:
        await gets_in_alone(engine, ("n" * CREDENTIAL_MAX, "p" * CREDENTIAL_MAX), page)


async def test_no_secret_is_readable_by_others_or_in_the_process_list(directory: Path, binary: Path) -> None:
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1))
        (pid,) = listener_pids(proxy.port)
        shown = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert b"wonder" not in shown
        assert directory.stat().st_mode & 0o077 == 0
        assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
        assert os.getsid(pid) == pid


async def test_a_flood_of_refused_clients_fills_no_disk_and_stops_nothing(
    directory: Path, binary: Path, page: int
) -> None:
    async def flood() -> None:
        request = b"GET http://127.0.0.1/ HTTP/1.1" + b" x" * 400 + b"\r\n\r\n"
        for _ in range(60):
            async with dialled(proxy.port) as stream:
                stream.writer.write(request)
                await stream.reader.read(1)

    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1, protocol="http"))
        (log,) = directory.glob("*.log")
        os.truncate(log, LOG_BYTES - 512)
        await flood()
        assert log.stat().st_size <= LOG_BYTES
        assert await fetch(proxy, page) == PAGE


async def test_the_log_names_no_url_and_no_login(directory: Path, binary: Path, page: int) -> None:
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1))
        await fetch(proxy, page, way="absolute")
        with pytest.raises(RefusedError):
            await fetch(proxy, page, ("mallory", "guess"), way="absolute")
        (log,) = directory.glob("*.log")

        async def told() -> bool:
            return " GET " in log.read_text()

        await until(told)
        assert not [word for word in (*ALICE, "mallory", "guess", "http://") if word in log.read_text()]


async def test_the_proxies_of_a_killed_agent_serve_on_and_are_adopted(directory: Path, binary: Path, echo: int) -> None:
    proxy = record(1)
    program = (
        "import asyncio, sys\nfrom pathlib import Path\n"
        "from node.engine.three_proxy import ThreeProxyEngine\nfrom shared.proxies import ProxyRecord\n"
        "async def main():\n"
        "    async with ThreeProxyEngine(Path(sys.argv[1]), binary=Path(sys.argv[2]), listen='127.0.0.1') as engine:\n"
        "        await engine.start(ProxyRecord.model_validate_json(sys.stdin.readline()))\n"
        "        print('started', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    pipe = asyncio.subprocess.PIPE
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, directory, binary, stdin=pipe, stdout=pipe, cwd=Path(__file__).parents[2]
    )
    assert agent.stdin is not None
    assert agent.stdout is not None
    agent.stdin.write(proxy.model_dump_json().encode() + b"\n")
    async with asyncio.timeout(2 * LIMIT_S):
        assert await agent.stdout.readline() == b"started\n"
    pids = listener_pids(proxy.port)
    async with tunnel(proxy, echo) as stream:
        agent.kill()
        await agent.wait()
        assert await stream.echoes()
        async with opened(directory, binary) as engine:
            assert await engine.running() == {1: 1}
            assert await stream.echoes()
            assert listener_pids(proxy.port) == pids
    await vanished(directory)


@pytest.mark.parametrize("change", [{"started": 1}, {"boot": "another"}, {}])
async def test_a_stale_file_never_leads_to_another_program(
    directory: Path, binary: Path, bystander: subprocess.Popen[bytes], change: dict[str, Any]
) -> None:
    proxy = record(1)
    async with opened(directory, binary) as engine:
        await engine.start(proxy)
        (file,) = directory.glob("*.json")
        stale = json.loads(file.read_text()) | {"pid": bystander.pid} | change
    file.write_text(json.dumps(stale))
    async with opened(directory, binary) as engine:
        assert await engine.running() == {}
        await engine.stop(1)
        await engine.start(proxy)
        assert await engine.running() == {1: 1}
    assert bystander.poll() is None


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", b"\xff", b'{"id": 1}'])
async def test_a_process_whose_state_is_lost_gives_its_port_back(
    directory: Path, binary: Path, page: int, damage: bytes
) -> None:
    proxy = record(1)
    async with opened(directory, binary) as engine, ThreeProxyEngine(directory / "x", binary=binary):
        await engine.start(proxy)
        (file,) = directory.glob("*.json")
        file.write_bytes(damage)
        async with opened(directory, binary) as second:
            assert await second.running() == {}
            await second.start(proxy)
            assert await fetch(proxy, page) == PAGE
            assert len(processes_of(directory)) == 1


@pytest.mark.parametrize(("name", "leads_a_session"), [("cat", True), ("3proxy", False)])
async def test_another_program_with_a_file_of_the_engine_is_left_alone(
    directory: Path, binary: Path, name: str, leads_a_session: bool
) -> None:
    directory.mkdir(mode=0o700)
    os.mkfifo(directory / "1-0.cfg")
    reader = await asyncio.create_subprocess_exec(
        name, directory / "1-0.cfg", executable=shutil.which("cat"), start_new_session=leads_a_session
    )
    async with opened(directory, binary):
        assert Path(f"/proc/{reader.pid}/cmdline").read_bytes().startswith(name.encode())
    reader.kill()
    await reader.wait()


def test_a_descriptor_that_was_used_again_is_not_the_listener() -> None:
    with socket.create_server((HERE, free_port())) as first, socket.create_server((HERE, free_port())) as second:
        descriptor, name = listener(os.getpid(), first.getsockname()[1])
        assert holds(os.getpid(), descriptor, name)
        os.dup2(second.fileno(), descriptor)
        assert not holds(os.getpid(), descriptor, name)


async def test_files_that_a_crash_left_behind_are_removed(directory: Path, binary: Path) -> None:
    directory.mkdir(mode=0o700)
    for name in ("1-aa.cfg", "1-aa.log", "1.json", "1.json.new"):
        (directory / name).write_text("left behind")
    async with opened(directory, binary):
        assert list(directory.iterdir()) == []


async def test_a_stopped_or_failed_proxy_leaves_no_file_and_no_process(directory: Path, binary: Path) -> None:
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1))
        await engine.start(proxy.model_copy(update={"version": 2, "port": free_port()}))
        assert len(list(directory.iterdir())) == 3
        await engine.stop(1)
        assert list(directory.iterdir()) == []
        assert processes_of(directory) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit 0", "it says nothing"),
        ("echo 'Command: allow failed with code 1, line 8'", "allow failed"),
        ("echo wonder-1", "withheld"),
    ],
)
async def test_a_program_that_ends_at_once_is_an_error_with_its_last_words(
    directory: Path, tmp_path: Path, text: str, reason: str
) -> None:
    async with opened(directory, script(tmp_path / "3proxy", text)) as engine:
        with pytest.raises(EngineError, match=reason):
            await engine.start(record(1))
        assert await engine.running() == {}
        assert list(directory.iterdir()) == []


async def test_a_program_that_never_accepts_is_an_error_within_three_seconds_and_is_ended(
    directory: Path, tmp_path: Path
) -> None:
    async with opened(directory, script(tmp_path / "3proxy", f"exec tail -f {directory}/*.cfg")) as engine:
        async with asyncio.timeout(3.5):
            with pytest.raises(EngineError, match="does not accept connections"):
                await engine.start(record(1))
        await vanished(directory)


async def test_a_start_that_is_cancelled_leaves_no_process_and_no_file(directory: Path, tmp_path: Path) -> None:
    async with opened(directory, script(tmp_path / "3proxy", f"exec tail -f {directory}/*.cfg")) as engine:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await engine.start(record(1))
        await vanished(directory)
        assert list(directory.iterdir()) == []


@pytest.mark.parametrize("make", [lambda path: path, lambda path: script(path, "exit 0").chmod(0o600) or path])
async def test_a_program_that_cannot_be_run_is_an_error(
    directory: Path, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    async with opened(directory, make(tmp_path / "3proxy")) as engine:
        with pytest.raises(EngineError, match="cannot be run"):
            await engine.start(record(1))
        assert list(directory.iterdir()) == []


async def test_what_3proxy_itself_refuses_is_told(directory: Path, binary: Path) -> None:
    async with opened(directory, binary, nservers=["no address"]) as engine:
        with pytest.raises(EngineError, match="nserver"):
            await engine.start(record(1))


async def test_an_address_of_another_host_is_an_error_that_names_it(directory: Path, binary: Path) -> None:
    async with opened(directory, binary, listen="192.0.2.1") as engine:
        with pytest.raises(EngineError, match=r"192\.0\.2\.1 is not an address of this host"):
            await engine.start(record(1))


async def test_many_proxies_start_and_stop_side_by_side(directory: Path, binary: Path, page: int) -> None:
    proxies = [record(number) for number in range(1, 41)]
    async with opened(directory, binary) as engine:
        async with asyncio.TaskGroup() as tasks:
            for proxy in proxies:
                tasks.create_task(engine.start(proxy))
        assert await engine.running() == {proxy.id: 1 for proxy in proxies}
        assert [await fetch(proxy, page) for proxy in proxies] == [PAGE] * len(proxies)
        await engine.halt()
        assert await engine.running() == {}


async def test_changes_to_one_proxy_follow_one_another(directory: Path, binary: Path, page: int) -> None:
    proxy = record(1)
    async with opened(directory, binary) as engine:
        async with asyncio.TaskGroup() as tasks:
            for number in range(2, 8):
                tasks.create_task(engine.start(proxy.model_copy(update={"version": number, "password": f"p{number}"})))
        assert await engine.running() == {1: 7}
        assert await fetch(proxy, page, (ALICE[0], "p7")) == PAGE
        assert len(processes_of(directory)) == 1


async def test_while_a_version_replaces_another_no_client_is_refused_a_connection(
    directory: Path, binary: Path
) -> None:
    """A client that the old process has not accepted yet is reset when it ends: dialled again, it is served."""
    done = asyncio.Event()

    async def knock() -> int:
        count = 0
        while not done.is_set():
            with suppress(ConnectionResetError):
                async with dialled(proxy.port):
                    count += 1
        return count

    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1))
        async with asyncio.TaskGroup() as tasks:
            knocks = tasks.create_task(knock())
            for number in range(2, 12):
                await engine.start(proxy.model_copy(update={"version": number, "password": f"p{number}"}))
            done.set()
        assert knocks.result() > 10


async def test_a_paused_3proxy_does_not_count_as_running_and_a_start_mends_it(
    directory: Path, binary: Path, page: int
) -> None:
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1))
        (pid,) = listener_pids(proxy.port)
        os.kill(pid, signal.SIGCONT)

        async def gone() -> bool:
            return await engine.running() == {}

        await until(gone)
        await engine.start(proxy)
        assert await engine.running() == {1: 1}
        assert await fetch(proxy, page) == PAGE
        assert processes_of(directory) != [pid]


async def test_more_clients_than_the_default_limit_are_served(directory: Path, binary: Path, page: int) -> None:
    async with opened(directory, binary) as engine, AsyncExitStack() as clients:
        await engine.start(proxy := record(1, protocol="http"))
        for _ in range(600):
            await clients.enter_async_context(dialled(proxy.port))
        assert await fetch(proxy, page) == PAGE


@pytest.mark.parametrize("way", ["absolute", "connect", "socks5"])
async def test_listening_on_every_address_still_tells_ipv4_sources_apart(
    directory: Path, binary: Path, page: int, way: str
) -> None:
    async with opened(directory, binary, listen=None) as engine:
        await engine.start(proxy := record(1, **open_to("127.0.0.2/31", "2001:db8::/32")))
        assert await fetch(proxy, page, None, way=way, source=ELSEWHERE) == PAGE
        with pytest.raises(RefusedError):
            await fetch(proxy, page, None, way=way)


@pytest.mark.parametrize("command", [2, 3])
async def test_socks_binds_no_port_and_relays_no_datagrams(directory: Path, binary: Path, command: int) -> None:
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1, **open_to(HERE)))
        answer = b"none, as 0.9 does"
        async with dialled(proxy.port) as stream:
            stream.writer.write(b"\5\1\0")
            assert await stream.reader.readexactly(2) == b"\5\0"
            stream.writer.write(b"\5%c\0\1\x7f\0\0\1\x40\0" % command)
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    answer = await stream.reader.read(10)
        assert not answer.startswith(b"\5\0")


async def test_names_are_asked_of_the_given_servers(directory: Path, binary: Path, page: int) -> None:
    class Resolver(asyncio.DatagramProtocol):
        """Answers every question with 127.0.0.1."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            question = data[12 : data.index(b"\0", 12) + 5]
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1"
            self.transport.sendto(data[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question + answer, addr)  # type: ignore[attr-defined]

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Resolver, (HERE, 0))
    server = f"{HERE}:{transport.get_extra_info('sockname')[1]}"
    async with opened(directory, binary, nservers=[server]) as engine:
        await engine.start(proxy := record(1))
        assert await fetch(proxy, page, host="origin.test") == PAGE
        assert await fetch(proxy, page, host="origin.test", way="socks5") == PAGE
    transport.close()


async def test_an_origin_with_an_ipv6_address_is_reached(directory: Path, binary: Path) -> None:
    async with opened(directory, binary) as engine, serving(answer_page, "::1") as port:
        await engine.start(proxy := record(1))
        assert await fetch(proxy, port, host="[::1]") == PAGE


async def test_an_ended_process_is_told_even_when_it_was_adopted(directory: Path, binary: Path) -> None:
    told = asyncio.Event()
    proxy = record(1)
    async with ThreeProxyEngine(directory, binary=binary, listen=HERE) as first:
        await first.start(proxy)
    async with opened(directory, binary, on_change=told.set):
        (pid,) = listener_pids(proxy.port)
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(LIMIT_S):
            await told.wait()
        assert not await accepts(proxy.port)


async def test_a_process_that_the_engine_ends_is_no_change(directory: Path, binary: Path) -> None:
    changes: list[None] = []
    async with opened(directory, binary, on_change=lambda: changes.append(None)) as engine:
        await engine.start(proxy := record(1))
        await engine.start(proxy.model_copy(update={"version": 2, "password": "changed"}))
        await engine.stop(1)
    assert changes == []


async def test_the_version_is_told(binary: Path) -> None:
    assert (await version(binary))[0].isdecimal()


async def test_a_program_that_is_no_3proxy_has_no_version(tmp_path: Path) -> None:
    assert await version(script(tmp_path / "3proxy", "echo hello")) == "unknown"


def test_a_setting_that_leads_nowhere_is_not_replaced_by_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = script(tmp_path / "3proxy", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary(None) == program
    assert find_binary(program) == program
    assert find_binary(tmp_path / "missing") is None
    program.chmod(0o600)
    assert find_binary(program) is None
    assert find_binary(None) is None
