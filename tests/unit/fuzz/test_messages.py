"""Messages of nearly the right shape: read, or refused in words that are fit for a log; nothing else."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.messages.assembly import assemble
from shared.messages.bodies import (
    MESSAGE_TYPES,
    BrokerReport,
    CheckSync,
    ConfigBody,
    ConfigOkBody,
    Header,
    Held,
    NeedSync,
    ProxyFailure,
    Report,
    Sync,
    UpgradeReport,
    UpgradeRequest,
)
from shared.messages.reading import Unreadable, decode, decode_header
from shared.messages.writing import encode, encode_pairs
from shared.proxies import MAX_BIGINT
from shared.validation_errors import ERROR_TEXT_LIMIT
from tests.tls.authority import Authority

SECRET = "a-secret"
NUMBERS = st.one_of(
    st.integers(-2, 5),
    st.sampled_from([MAX_BIGINT, MAX_BIGINT + 1, -(2**63), -(2**63) - 1, 10**400, 1.0, 1.5, 1e308, True, "1", "1.0"]),
)
ODD = st.one_of(
    st.none(),
    NUMBERS,
    st.text(max_size=5),
    st.sampled_from([SECRET, "\0", "\u202e", "a" * 101, "a" * 70_000, "0" * 16, "g" * 16]),
    st.lists(NUMBERS, max_size=3),
    st.dictionaries(st.text(max_size=3), NUMBERS, max_size=2),
)
PAIR = st.lists(NUMBERS, min_size=2, max_size=2) | ODD
RECORD = st.fixed_dictionaries({}, optional={"id": ODD, "version": ODD, "content": ODD, "port": ODD, "x": ODD}) | ODD


def members(kind: type[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of its members with any value, and one that it does not have."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys([*kind.model_fields, "x"], ODD))


REPORTS = st.builds(
    lambda right, odd: right | odd,
    st.just({"rev": 7, "seen": 8, "top": 3, "digest": "0" * 16, "content": "0" * 16, "count": 2, "running": 1}),
    members(Report)
    | st.fixed_dictionaries(
        {
            "failed": st.lists(members(ProxyFailure), max_size=3),
            "held": members(Held),
            "upgrade": members(UpgradeReport),
            "broker": members(BrokerReport),
        }
    ),
)
UPGRADE = {"id": 1, "version": "0.2.0", "url": "http://198.51.100.1/bundle/manifest.json", "sha256": "ab" * 32}
CA = Authority().pem
CONFIG = {"rev": 1, "amqp_urls": ["amqp://broker/"]}
BODIES: dict[str, st.SearchStrategy[Any]] = {
    "check-sync": st.lists(PAIR, max_size=4) | ODD,
    "need-sync": st.lists(ODD, max_size=4) | ODD,
    "sync": st.lists(RECORD, max_size=3) | ODD,
    "report": REPORTS | ODD,
    "upgrade": st.builds(lambda odd: UPGRADE | odd, members(UpgradeRequest)) | ODD,
    "config": st.builds(lambda odd: CONFIG | odd, members(ConfigBody)) | ODD,
    "config-ok": members(ConfigOkBody) | ODD,
}
KINDS = {
    "check-sync": CheckSync,
    "need-sync": NeedSync,
    "sync": Sync,
    "report": Report,
    "upgrade": UpgradeRequest,
    "config": ConfigBody,
    "config-ok": ConfigOkBody,
}
WIRE_VALUES = st.one_of(
    ODD,
    st.binary(max_size=5),
    st.just(datetime(2026, 1, 1, tzinfo=UTC)),
    st.just(Decimal("1e9")),
    st.just(bytearray(3)),
)
"""What else the driver makes out of a header table."""
RIGHT = {"v": 1, "cluster": "c", "node": 1, "rev": 1}


def test_every_type_of_message_is_tried() -> None:
    assert set(BODIES) == set(KINDS) == set(MESSAGE_TYPES)


@pytest.mark.parametrize("type_", MESSAGE_TYPES)
@given(data=st.data())
def test_a_body_of_nearly_the_right_shape_is_read_or_refused(type_: str, data: st.DataObject) -> None:
    body = json.dumps(data.draw(BODIES[type_])).encode()
    try:
        assert isinstance(decode(type_, body), KINDS[type_])
    except Unreadable as refused:
        assert_fit_for_a_log(refused)


@pytest.mark.parametrize("type_", MESSAGE_TYPES)
@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_body_is_read_or_refused(type_: str, seed: int) -> None:
    dice = random.Random(seed)
    bodies = {
        "check-sync": b"[[12,3],[14,1]]",
        "need-sync": b"[12,14]",
        "sync": b'[{"id":1,"version":2,"content":-3,"port":20000,"password":"x"}]',
        "report": encode(Report(rev=7, seen=8, top=3, digest="0" * 16, content="0" * 16, count=2, running=1)),
        "upgrade": json.dumps(UPGRADE).encode(),
        "config": json.dumps(CONFIG | {"amqp_urls": ["amqps://broker:5671/v"], "ca": CA}).encode(),
        "config-ok": b'{"rev":3}',
    }
    for _ in range(500):
        body = bytearray(bodies[type_])
        for _ in range(dice.randrange(1, 4)):
            body[dice.randrange(len(body))] = dice.choice(b'[]{},:"\\0-eE.\x00\xff\x80 ntu')
        try:
            decode(type_, bytes(body))
        except Unreadable as refused:
            assert_fit_for_a_log(refused)


@given(members(Header) | st.dictionaries(st.sampled_from(["v", "node", "confirm", "cluster"]), WIRE_VALUES) | ODD)
def test_headers_of_nearly_the_right_shape_are_read_or_refused(headers: object) -> None:
    assert_header_read_or_refused(headers)


@given(st.sampled_from(list(Header.model_fields)), WIRE_VALUES | st.lists(PAIR, max_size=101))
@example("v", "1" * 400)
def test_one_odd_value_among_right_headers_is_read_or_refused(name: str, value: object) -> None:
    assert_header_read_or_refused(RIGHT | {name: value})


def assert_header_read_or_refused(headers: object) -> None:
    try:
        header = decode_header(headers)
    except Unreadable as refused:
        assert_fit_for_a_log(refused)
    else:
        assert 1 <= header.node <= MAX_BIGINT
        assert 1 <= header.part <= header.parts


def assert_fit_for_a_log(refused: Unreadable) -> None:
    text = str(refused)
    assert text.isprintable()
    assert 0 < len(text) <= ERROR_TEXT_LIMIT + len("headers: ")
    assert SECRET not in text


PARTS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2)),
    max_size=30,
)


@given(PARTS)
def test_parts_in_any_number_and_order_neither_pile_up_nor_act_unless_all_are_there(
    parts: Sequence[tuple[str, int, int, int, int]],
) -> None:
    begun: Any = {}
    heard: dict[tuple[str, int, int], set[int]] = {}
    for round_, rev, part, count, pairs in parts:
        if part > count:
            continue
        heard.setdefault((round_, rev, count), set()).add(part)
        header = Header(v=1, cluster="c", node=1, rev=rev, part=part, parts=count)
        begun, whole = assemble(begun, round_, header, CheckSync(pairs=((part, 1),) * pairs))
        assert len(begun) <= 4
        assert whole is None or heard[round_, rev, count] == set(range(1, count + 1))


@given(st.lists(st.tuples(st.integers(1, MAX_BIGINT), st.integers(1, MAX_BIGINT)), max_size=50))
def test_what_is_written_is_read_as_it_was(pairs: list[tuple[int, int]]) -> None:
    read = [decode("check-sync", body) for body in encode_pairs(pairs)]
    assert [pair for each in read if isinstance(each, CheckSync) for pair in each.pairs] == pairs
    ids = tuple(id_ for id_, _ in pairs)
    assert decode("need-sync", encode(NeedSync(ids=ids))) == NeedSync(ids=ids)
