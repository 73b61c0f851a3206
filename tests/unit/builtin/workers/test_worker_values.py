"""What crosses the control socket, and what a worker makes of time and failures."""

import errno
import json
import struct
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.builtin import bootstrap
from node.engine.builtin.frames import ControlError, FrameReader, frame
from node.engine.builtin.net.timeouts import Timeouts
from node.engine.builtin.policy.records import FIELDS, fields_of, read_record
from node.engine.builtin.pool.batches import record_fields
from node.engine.builtin.protocols.failures import ConnectFailure, failure_of
from shared.proxies import Exit, FurtherPort, Limits, ProxyRecord

PROXY = ProxyRecord(
    id=7, version=3, content=1, protocol="mixed", port=20001, username="alice", password="wonder", allow_ips=("::1",)
)
BOB = {"port": 20002, "username": "bob", "password": "builder"}
TOLD = PROXY.model_dump(mode="json", include=set(FIELDS))


def test_a_record_comes_through_as_it_was_told() -> None:
    record = read_record(TOLD)
    assert (record.id, record.version, record.protocol, record.port) == (7, 3, "mixed", 20001)
    assert record.access.credentials == b"alice:wonder"


def test_exit_and_limits_come_through_as_they_were_told() -> None:
    exit_ = Exit(mode="ipv6_session", prefix="2001:db8::/64", key="00" * 16, session_ttl_s=60)
    limits = Limits(
        connections=5, traffic_bytes=10**9, traffic_period="day", expires_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    told = PROXY.model_copy(update={"exit": exit_, "limits": limits}).model_dump(mode="json", include=set(FIELDS))
    record = read_record(told)
    assert (record.exit.prefix, record.exit.key, record.exit.session_ttl_s) == ("2001:db8::/64", bytes(16), 60)
    assert (record.limits.traffic_period, record.limits.expires_at) == ("day", 1767225600.0)


@given(
    st.sampled_from([{}, {"username": "alice", "password": "won:der"}]),
    st.sets(st.ip_addresses().map(str), max_size=4),
    st.sampled_from(["203.0.113.0/24", "2001:db8::/32", "0.0.0.0/0", "::ffff:192.0.2.0/120"]),
    st.sampled_from([{}, {"exit": Exit(mode="ipv6_session", prefix="2001:db8::/64", key="00" * 16, session_ttl_s=60)}]),
    st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
)
def test_a_record_that_goes_from_worker_to_worker_stays_the_same(
    login: dict[str, str], sources: set[str], network: str, exit_: dict[str, Exit], expires_at: datetime | None
) -> None:
    limits = Limits(connections=3, expires_at=expires_at)
    proxy = PROXY.model_copy(
        update={"username": None, "password": None, "allow_ips": (*sources, network), "limits": limits} | login | exit_
    )
    record = read_record(proxy.model_dump(mode="json", include=set(FIELDS)))
    assert read_record(json.loads(json.dumps(fields_of(record)))) == record


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"username": None, "password": None, "allow_ips": ("192.0.2.0/24",)},
        {"limits": Limits(traffic_bytes=5, traffic_period="day", expires_at=datetime(2030, 1, 1, tzinfo=UTC))},
        {"exit": Exit(mode="ipv6_random", prefix="2001:db8::/64", key="00" * 16)},
        {"also": (FurtherPort(port=20002), FurtherPort(port=20003, username="bob", password="builder"))},
    ],
)
def test_a_worker_is_told_all_of_a_record_though_not_what_is_as_usual(changes: dict[str, object]) -> None:
    proxy = PROXY.model_copy(update=changes)
    whole = proxy.model_dump(mode="json", include=set(FIELDS))
    assert read_record(json.loads(json.dumps(record_fields(proxy)))) == read_record(whole)


def test_a_record_shows_no_password() -> None:
    assert "wonder" not in repr(read_record(TOLD))
    assert "builder" not in repr(read_record(TOLD | {"also": [BOB]}))


def test_further_ports_and_logins_come_through_and_are_told_again() -> None:
    record = read_record(TOLD | {"also": [BOB]})
    assert (record.ports, record.access.known) == ((20001, 20002), (b"alice:wonder", b"bob:builder"))
    assert read_record(json.loads(json.dumps(fields_of(record)))) == record


def test_a_worker_of_an_earlier_age_tells_records_that_can_be_read() -> None:
    assert read_record({name: value for name, value in TOLD.items() if name != "also"}).ports == (20001,)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "7"},
        {"id": True},
        {"version": 0},
        {"protocol": "ftp"},
        {"password": 5},
        {"allow_ips": "::1"},
        {"allow_ips": [5]},
        {"allow_ips": ["nowhere"]},
        {"colour": "red"},
        {"exit": None},
        {"exit": {"colour": "red"}},
        {"exit": {"key": "no hex"}},
        {"limits": {"connections": 0}},
        {"also": None},
        {"also": [{"port": 0}]},
        {"also": [{"port": 20002, "colour": "red"}]},
        {"limits": {"expires_at": "tomorrow"}},
    ],
)
def test_what_is_no_record_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^(?!.*wonder)"):
        read_record(TOLD | change)


@given(st.lists(st.dictionaries(st.text(), st.integers()), max_size=5), st.integers(1, 7))
def test_frames_come_whole_out_of_any_pieces(messages: list[dict[str, object]], size: int) -> None:
    data, reader = b"".join(map(frame, messages)), FrameReader()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert [message for piece in pieces for message in reader.feed(piece)] == messages


@pytest.mark.parametrize("data", [struct.pack("!I", 2**31), frame({})[:4] + b"[]", frame({})[:4] + b"{{"])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(ControlError):
        FrameReader().feed(data)


def test_deadlines_expire_in_their_order_and_only_once() -> None:
    expired: list[str] = []
    deadlines: Timeouts[str] = Timeouts(10, expired.append)
    for number, item in enumerate(("first", "second", "third", "fourth")):
        deadlines.add(item, number)
    deadlines.discard("second")
    deadlines.add("first", 3.5)
    for now in (11.9, 12, 13, 13, 14):
        deadlines.expire(now)
    assert expired == ["third", "fourth", "first"]


def test_deadlines_are_waited_for_until_the_first_of_them() -> None:
    deadlines: Timeouts[str] = Timeouts(10, str)
    assert deadlines.wait(0.0, 60.0) == 60.0
    deadlines.add("first", 0.0)
    deadlines.add("second", 5.0)
    assert [deadlines.wait(now, 60.0) for now in (1.0, 11.0)] == [9.0, 0.0]
    assert deadlines.wait(1.0, 2.0) == 2.0


@pytest.mark.parametrize(
    ("number", "status", "reply"),
    [
        (errno.ECONNREFUSED, 502, 0x05),
        (errno.EHOSTUNREACH, 502, 0x04),
        (errno.ENETUNREACH, 502, 0x03),
        (errno.ETIMEDOUT, 504, 0x04),
        (errno.EMFILE, 503, 0x01),
        (errno.EPERM, 502, 0x02),
    ],
)
def test_a_failed_connection_has_its_word_in_each_protocol(number: int, status: int, reply: int) -> None:
    assert (failure_of(number).status, failure_of(number).reply) == (status, reply)
    assert (ConnectFailure.TIMEOUT.status, ConnectFailure.NAME.status) == (504, 502)


TAKEN_OF_SHARED = [
    "shared",
    "shared.destinations",
    "shared.engine",
    "shared.engine.defaults",
    "shared.engine.permutation",
    "shared.special_addresses",
]


def test_a_worker_gets_along_with_the_standard_library() -> None:
    """Without site packages, so that an import of anything else fails."""
    program = (
        "import runpy, sys; sys.argv = ['bare', 'node.engine.builtin.worker.control_server'];"
        f"runpy.run_path({str(Path(bootstrap.__file__))!r}, run_name='__main__');"
        "runpy.run_module('node.engine.builtin.worker.zygote');"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in ('shared', 'pydantic', 'structlog')))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == (f"{TAKEN_OF_SHARED}", 0), done.stderr


def test_a_worker_loads_openssl_for_a_certificate_only() -> None:
    program = (
        "import runpy, sys; sys.argv = ['bare', 'node.engine.builtin.worker.control_server'];"
        f"runpy.run_path({str(Path(bootstrap.__file__))!r}, run_name='__main__');"
        "before = '_ssl' in sys.modules;"
        "import ssl; print(before, '_ssl' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("False True", 0), done.stderr
