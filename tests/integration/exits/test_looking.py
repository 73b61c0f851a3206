"""Exits of the built-in engine, looked at by the doctor and by whois."""

import asyncio
import os
import sys
from pathlib import Path

from node.doctor.exits import exit_findings
from node.engine.builtin.engine import BuiltinEngine
from node.network.exit_requirements import ExitRequirement
from tests.engines.exits import PREFIX, RANDOM, V4_EXIT, V6_EXIT, record, seen, telling


def test_the_doctor_tells_a_routed_prefix_from_one_that_is_not(routed: None) -> None:
    good, bad = (PREFIX, V4_EXIT, V6_EXIT), ("2001:db8:99::/64", "203.0.113.9", "2001:db8:99::1")
    found = exit_findings(ExitRequirement(place, "builtin") for place in (*good, *bad))
    levels = {place: finding.level for place in (*good, *bad) for finding in found if place in finding.text}
    assert levels == dict.fromkeys(good, "ok") | dict.fromkeys(bad, "problem")


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
    assert (process.returncode, b"with id 41 " in output, PREFIX.encode() in output) == (0, True, True)
