"""What a node keeps beside its local copy, on a disk that refuses: usage, numbers of exits, its identity."""

import asyncio
import os
import resource
from pathlib import Path

import pytest
from pydantic import SecretStr

from node.engine.builtin.accounting.account import Account
from node.engine.builtin.accounting.ledger import FOLDER
from node.engine.builtin.engine import BuiltinEngine
from node.engine.builtin.net.exit_counter import KEYS_FILE, ExitCounter, noted_keys
from node.engine.builtin.policy.quota_periods import QuotaUsage
from node.engine.interface import EngineError
from node.enrolment.membership import Membership
from node.errors import BadIdentity, IdentityUnread
from node.settings import read_settings
from node.state.identity import Identity, read_identity, write_identity
from shared.enrolment.bodies import NodeConfig
from shared.enrolment.challenge import new_challenge
from tests.clients.streams import HERE, free_port, record
from tests.services.sandbox import SmallDisk, in_child, use_up_descriptors

LIMIT_S = 20.0


def identity() -> Identity:
    config = NodeConfig(
        node_id=1, name="n", cluster="c", amqp_urls=(SecretStr("amqp://u:p@127.0.0.1:1/"),), queue="mp.node.1"
    )
    return Identity(config, challenge=new_challenge())


async def test_a_proxy_with_a_quota_waits_until_it_can_be_read_what_it_has_used_and_others_run(
    directory: Path, engine: BuiltinEngine
):
    limited = record(1, limits={"traffic_bytes": 1000})
    (directory / FOLDER).touch()
    await engine.start(record(2))
    with pytest.raises(EngineError, match="how much traffic it has used cannot be read"):
        await engine.start(limited)
    assert set(await engine.running()) == {record(2).id}
    (directory / FOLDER).unlink()
    await engine.start(limited)
    assert set(await engine.running()) == {record(2).id, limited.id}


def test_what_was_spent_before_is_added_when_it_is_known_and_nothing_is_written_until_then():
    account = Account(7, None)
    assert account.entry(100, 0, 1, 0.0) is None
    account.book(100, 0.0)
    account.add_earlier(QuotaUsage(total=500), 0.0)
    entry = account.entry(100, 50, 1, 0.0)
    assert entry is not None
    assert entry.spent.total == 650


def test_no_address_is_drawn_under_a_key_that_is_not_wholly_on_disk(tmp_path: Path):
    def act() -> None:
        draws = ExitCounter(tmp_path)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
        for _ in range(2):
            with pytest.raises(OSError, match=r"No space|too large"):
                draws.note("2001:db8::/64", bytes(16))
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        draws.note("2001:db8::/64", bytes(16))
        assert noted_keys(tmp_path) == [("2001:db8::/64", bytes(16).hex())]
        assert (tmp_path / KEYS_FILE).stat().st_size > 20

    in_child(act)


def test_a_challenge_is_spent_as_soon_as_that_can_be_written_and_the_node_works_meanwhile(tmp_path: Path):
    def act() -> None:
        disk = SmallDisk(tmp_path / "disk")
        environment = {
            "NODE_DATA_DIR": str(disk.path),
            "NODE_ENROL_HOST": HERE,
            "NODE_ENROL_PORT": str(free_port()),
            "NODE_CHALLENGE_FILE": str(disk.path / "challenge.json"),
        }
        settings, own = read_settings(environment), identity()
        write_identity(settings.identity_file, own)
        disk.fill()

        async def scene() -> None:
            membership, logged_in = Membership(settings, {}), asyncio.Event()

            async def work(found: Identity) -> None:
                await membership.prove(found.config)
                logged_in.set()
                await asyncio.Event().wait()

            async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
                running = group.create_task(membership.run(work))
                await logged_in.wait()
                assert read_identity(settings.identity_file) == own
                disk.free()
                while read_identity(settings.identity_file) == own:
                    await asyncio.sleep(0.05)
                running.cancel()

        asyncio.run(scene())
        proven = read_identity(settings.identity_file)
        assert proven is not None
        assert (proven.config, proven.challenge) == (own.config, None)

    in_child(act)


def test_an_identity_that_cannot_be_read_now_is_read_later_and_one_that_makes_no_sense_is_told(tmp_path: Path):
    def act() -> None:
        path, own = tmp_path / "identity.json", identity()
        write_identity(path, own)
        use_up_descriptors()
        with pytest.raises(IdentityUnread, match="Too many open files"):
            read_identity(path)
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        assert read_identity(path) == own
        os.truncate(path, 10)
        with pytest.raises(BadIdentity, match="forget"):
            read_identity(path)

    in_child(act)
