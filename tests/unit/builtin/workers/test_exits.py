"""Where connections leave: which address a connection or a session gets, and how numbers are never used twice."""

import os
import socket
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest

from node.engine.builtin.net import exits
from node.engine.builtin.net.dns.resolver import Address
from node.engine.builtin.net.exit_counter import BLOCK, BLOCKS_FILE, KEYS_FILE, ExitCounter, drawn_so_far, noted_keys
from node.engine.builtin.net.exits import FixedExit, Lease, RandomExit, SessionExit, exit_of
from node.engine.builtin.policy.records import Record, read_record
from node.engine.builtin.protocols.failures import ConnectFailure
from node.engine.builtin.sessions.connector import reachable
from shared.engine.permutation import DecodedAddress, Permutation

PREFIX, KEY = "2001:db8:1:2::/64", bytes(range(16))
V4, V6 = socket.AF_INET, socket.AF_INET6
ONE, OTHER = (V4, "192.0.2.1"), (V6, "2001:db8::1")


@dataclass
class Guest:
    session: bytes | None = None
    lease: Lease | None = None


def record(mode: str = "ipv6_session", **changes: object) -> Record:
    told = {"id": 7, "version": 1, "protocol": "mixed", "port": 1, "username": "a", "password": "b", "allow_ips": []}
    exit_ = {"mode": mode, "prefix": PREFIX, "key": KEY.hex(), "session_ttl_s": 60} | changes
    return read_record(told | {"limits": {}, "exit": exit_})


@pytest.fixture
def exit_counter(tmp_path: Path) -> ExitCounter:
    return ExitCounter(tmp_path)


@pytest.fixture
def sessions(exit_counter: ExitCounter) -> SessionExit:
    return SessionExit(record(), exit_counter)


def test_a_connection_gets_an_address_of_the_prefix_that_decodes_to_its_proxy(exit_counter: ExitCounter) -> None:
    drawn = [RandomExit(record("ipv6_random"), exit_counter).draw() for _ in range(3)]
    assert all(IPv6Address(each) in IPv6Network(PREFIX) for each in drawn)
    numbers = [Permutation(PREFIX, KEY).drawn(int(IPv6Address(each))) for each in drawn]
    assert numbers == [DecodedAddress(7, 0), DecodedAddress(7, 1), DecodedAddress(7, 2)]


def test_a_session_keeps_its_address_and_another_one_has_another(sessions: SessionExit) -> None:
    first = sessions.address(Guest(b"one"), 0)
    assert sessions.address(Guest(b"one"), 1000) == first
    assert sessions.address(Guest(b"two"), 1000) != first
    assert sessions.address(Guest(), 1000) != sessions.address(Guest(), 1000)


def test_a_session_ends_some_time_after_its_last_connection_did(sessions: SessionExit) -> None:
    one, other = Guest(b"one"), Guest(b"one")
    first = sessions.address(one, 0)
    sessions.address(other, 0)
    for guest, end in ((one, 10), (other, 100)):
        assert guest.lease is not None
        guest.lease.end(end)
    again = Guest(b"one")
    assert sessions.address(again, 159) == first
    assert again.lease is not None
    again.lease.end(200)
    assert sessions.address(Guest(b"one"), 260) != first


def test_a_connection_that_changes_its_session_lets_go_of_the_one_before(sessions: SessionExit) -> None:
    guest = Guest(b"one")
    first = sessions.address(guest, 0)
    guest.session = b"two"
    sessions.address(guest, 10)
    sessions.address(guest, 20)
    second = sessions.address(Guest(b"two"), 20)
    assert sessions.address(Guest(b"three"), 71) not in (first, second)
    assert sessions.address(Guest(b"two"), 72) == second
    assert sessions.address(Guest(b"one"), 72) != first


def test_a_full_table_forgets_who_ended_first_and_never_who_is_there(
    sessions: SessionExit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exits, "MAX_SESSIONS", 2)
    staying, ended = Guest(b"staying"), Guest(b"ended")
    first, gone = sessions.address(staying, 0), sessions.address(ended, 0)
    assert ended.lease is not None
    assert sessions.address(Guest(b"third"), 0) is ConnectFailure.EXHAUSTED
    ended.lease.end(1)
    assert isinstance(sessions.address(Guest(b"third"), 2), str)
    assert sessions.address(Guest(b"staying"), 2) == first
    assert sessions.address(Guest(b"ended"), 2) not in (gone, first)


def test_sessions_outlive_a_change_of_their_time_but_not_of_prefix_or_key(exit_counter: ExitCounter) -> None:
    before = exit_of(record(), exit_counter)
    first = before.address(Guest(b"one"), 0)
    longer = exit_of(record(session_ttl_s=90), exit_counter, before)
    assert longer.address(Guest(b"one"), 5) == first
    assert isinstance(longer, SessionExit)
    assert longer.ttl_s == 90
    for change in ({"key": "00" * 16}, {"prefix": "2001:db8:1:3::/64"}):
        assert exit_of(record(**change), exit_counter, before).address(Guest(b"one"), 5) != first


def test_sessions_move_to_another_worker_with_their_addresses(sessions: SessionExit, tmp_path: Path) -> None:
    addresses = [sessions.address(Guest(name), 0) for name in (b"one", b"two")]
    successor = SessionExit(record(), ExitCounter(tmp_path))
    successor.adopt(sessions.sessions(), 0)
    assert [successor.address(Guest(name), 1) for name in (b"one", b"two")] == addresses


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mode": "ipv6_random", "prefix": None}, "needs a prefix and a key"),
        ({"mode": "ipv6_session", "key": None}, "needs a prefix and a key"),
        ({"mode": "ipv6_random", "prefix": "2001:db8::/120"}, "length of 32 to 112"),
        ({"mode": "ipv6_random", "prefix": "192.0.2.0/24"}, "^192.0.2.0/24 is not an IPv6 network"),
        ({"mode": "address"}, "no address"),
        ({"mode": "address", "address": "nowhere"}, "not an IP address"),
        ({"mode": "teleport"}, "no exit of mode teleport"),
    ],
)
def test_an_exit_that_cannot_be_made_says_why(
    exit_counter: ExitCounter, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        exit_of(record(**changes), exit_counter)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("exit_", "found"),
    [
        (FixedExit(), [ONE, OTHER]),
        (FixedExit("192.0.2.9"), [ONE]),
        (FixedExit("::ffff:192.0.2.9"), [ONE]),
        (FixedExit("2001:db8::9"), [OTHER]),
    ],
)
def test_an_exit_reaches_the_addresses_of_its_own_family(exit_: FixedExit, found: list[Address]) -> None:
    assert reachable((ONE, OTHER), exit_.family, lambda address: True) == found


def test_why_nothing_can_be_reached_is_told_apart() -> None:
    assert reachable((), None, lambda address: True) is ConnectFailure.NAME
    assert reachable((ONE,), V6, lambda address: True) is ConnectFailure.FAMILY
    assert reachable((ONE, OTHER), V6, lambda address: address == ONE[1]) is ConnectFailure.PRIVATE


def test_numbers_go_on_in_a_new_block_after_a_crash(tmp_path: Path) -> None:
    before = ExitCounter(tmp_path)
    assert [before.next() for _ in range(BLOCK + 1)] == list(range(BLOCK + 1))
    assert ExitCounter(tmp_path).next() == 2 * BLOCK
    assert drawn_so_far(tmp_path) == 3 * BLOCK


def first_numbers(directory: Path) -> list[int]:
    return [ExitCounter(directory).next() for _ in range(50)]


def test_workers_side_by_side_never_share_a_block(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        found = [number for numbers in pool.map(first_numbers, [tmp_path] * 8) for number in numbers]
    assert sorted(found) == [BLOCK * number for number in range(400)]


def test_what_the_disk_refuses_is_a_failure_and_no_address(tmp_path: Path) -> None:
    (tmp_path / BLOCKS_FILE).mkdir()
    assert RandomExit(record("ipv6_random"), ExitCounter(tmp_path)).draw() is ConnectFailure.EXHAUSTED
    assert drawn_so_far(tmp_path / "nowhere") == 0


def test_every_key_is_noted_once_before_it_is_used_and_only_for_its_owner(tmp_path: Path) -> None:
    (tmp_path / KEYS_FILE).write_text("2001:db8::/64 00112")
    for number in (1, 2):
        for _ in range(2):
            RandomExit(record("ipv6_random", key=f"{number:032x}"), ExitCounter(tmp_path)).draw()
    assert noted_keys(tmp_path) == [(PREFIX, f"{number:032x}") for number in (1, 2)]
    assert (tmp_path / KEYS_FILE).read_text().count(PREFIX) == 2


def test_the_files_are_closed_to_others(exit_counter: ExitCounter, tmp_path: Path) -> None:
    RandomExit(record("ipv6_random"), exit_counter).draw()
    assert [os.stat(tmp_path / name).st_mode & 0o077 for name in (BLOCKS_FILE, KEYS_FILE)] == [0, 0]
