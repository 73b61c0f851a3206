"""Programs that are no 3proxy or do not start, and what is told of them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from node.engine.interface import EngineError
from node.engine.three_proxy.binary import find_binary, version
from tests.engines.records import record
from tests.engines.three_proxy import opened, script, vanished


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit 0", "its log is empty"),
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
