"""Exits of the built-in engine, looked at by the doctor and by whois."""

import asyncio
import os
import sys
from pathlib import Path

from node.engine.builtin import BuiltinEngine
from node.exit_look import exit_findings
from shared.proxies import Exit
from tests.exits import PREFIX, RANDOM, V4_EXIT, V6_EXIT, record, seen, telling


def test_the_doctor_tells_a_routed_prefix_from_one_that_is_not(routed: None) -> None:
    exits = {
        1: Exit.model_validate(RANDOM),
        2: Exit(mode="address", address=V4_EXIT),
        3: Exit(mode="address", address=V6_EXIT),
        4: Exit(mode="ipv6_random", prefix="2001:db8:99::/64"),
        5: Exit(mode="address", address="203.0.113.9"),
        6: Exit(mode="address", address="2001:db8:99::1"),
    }
    found = {finding.text.split()[0]: finding.level for finding in exit_findings(exits)}
    assert found == {PREFIX: "ok", V4_EXIT: "ok", V6_EXIT: "ok", "answers": "problem"}


async def test_whois_names_the_proxy_of_a_connection_by_its_address_alone(
    engine: BuiltinEngine, tmp_path: Path
) -> None:
    await engine.start(proxy := record(RANDOM, 41))
    async with telling() as port:
        source = await seen(proxy, port)
    (tmp_path / "engine").rename(tmp_path / "builtin")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "node", "whois", source),
        env={**os.environ, "NODE_DATA_DIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    (tmp_path / "builtin").rename(tmp_path / "engine")
    assert (process.returncode, b"of id 41 " in output, PREFIX.encode() in output) == (0, True, True)
