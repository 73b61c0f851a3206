"""A network namespace to which a /64 and some addresses are routed."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from node.engine.builtin.engine import BuiltinEngine
from tests.clients.streams import LOCAL
from tests.cluster.networks import CLONE_NEWNET, call, raise_loopback, require, unshared
from tests.engines.exits import PREFIX, V4_EXIT, V6_EXIT


@pytest.fixture
def routed() -> Iterator[None]:
    """This thread's network is one of its own; programs started meanwhile are in there too."""
    require("ip")
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    inside = unshared("net", CLONE_NEWNET)
    call("setns", inside, CLONE_NEWNET)
    raise_loopback()
    for route in (["-6", PREFIX], ["-6", f"{V6_EXIT}/128"], ["-4", f"{V4_EXIT}/32"]):
        subprocess.run(["ip", route[0], "route", "add", "local", route[1], "dev", "lo"], check=True)
    yield
    call("setns", own, CLONE_NEWNET)
    os.close(inside)
    os.close(own)


@pytest.fixture
async def engine(routed: None, tmp_path: Path) -> AsyncIterator[BuiltinEngine]:
    async with BuiltinEngine(tmp_path / "engine", listen="127.0.0.1", workers=1, allow_destinations=LOCAL) as opened:
        yield opened
        await opened.halt()
