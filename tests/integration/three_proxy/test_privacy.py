"""What 3proxy's files and processes do not tell."""

import os
from pathlib import Path

import pytest

from node.engine.three_proxy.process import LOG_BYTES
from tests.clients.plain import ALICE, PAGE, RefusedError, dialled, fetch
from tests.clients.streams import until
from tests.engines.records import record
from tests.engines.three_proxy import opened
from tests.services.processes import listener_pids


async def test_no_secret_is_readable_by_others_or_in_the_process_list(directory: Path, binary: Path) -> None:
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1))
        (pid,) = listener_pids(proxy.port)
        shown = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert b"wonder" not in shown
        assert directory.stat().st_mode & 0o077 == 0
        assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
        assert os.getsid(pid) == pid


async def test_the_log_names_no_url_and_no_login(directory: Path, binary: Path, page: int) -> None:
    async with opened(directory, binary) as engine:
        await engine.start(proxy := record(1))
        await fetch(proxy, page, way="absolute")
        with pytest.raises(RefusedError):
            await fetch(proxy, page, ("mallory", "guess"), way="absolute")
        (log,) = directory.glob("*.log")

        async def told() -> bool:
            return " GET\n" in log.read_text()

        await until(told)
        assert not [word for word in (*ALICE, "mallory", "guess", "http://") if word in log.read_text()]


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
