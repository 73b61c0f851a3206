"""The pasted line of a newer release, while clients' connections carry data through the node."""

from pathlib import Path

import pytest

from tests.acceptance.faults.test_streams import opened, streaming
from tests.clients.traffic import Client
from tests.install.hosts import Host, publish

pytestmark = pytest.mark.long

CONNECTIONS = 200


async def test_an_upgrade_by_the_line_closes_no_connection_and_a_version_that_fails_leaves_the_one_that_works(
    host: Host, client: Client, bundles: Path
) -> None:
    installed = await host.install()
    assert installed.returncode == 0, installed.stderr
    await host.enrol()
    proxies = await host.proxies(4)
    assert (await host.node())["agent"] == "0.2.0"

    async with streaming(await opened(client, proxies, CONNECTIONS)):
        publish(bundles, "0.2.1")
        upgraded = await host.install()
        assert (upgraded.returncode, host.root.text("opt/maybe-node/current/VERSION")) == (0, "0.2.1\n"), (
            upgraded.stderr
        )
    assert (await host.node())["agent"] == "0.2.1"

    async with streaming(client.opened[:CONNECTIONS]):
        publish(bundles, "0.2.2", {"lib/node/app.py": b"raise SystemExit('this version does not start')\n"})
        failed = await host.install()
        assert failed.returncode == 1
        assert "version 0.2.1 stays, since the upgrade to 0.2.2 failed" in failed.stderr
        assert host.root.text("opt/maybe-node/current/VERSION") == "0.2.1\n"
        assert not (host.root.path / "opt/maybe-node/versions/0.2.2").exists()
    assert (await host.command("health", "--deep")).returncode == 0
    await client.use((await host.proxies(1))[0])
