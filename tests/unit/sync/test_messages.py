"""The wire form of each message, pinned as bytes, and what is refused."""

import contextlib
import itertools
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messages.assembly import assemble
from shared.messages.bodies import (
    MESSAGE_TYPES,
    CheckSync,
    Header,
    LiveFigures,
    LoadReport,
    NeedSync,
    ProxyFailure,
    Report,
    Sync,
    TlsCertificate,
    UpgradeReport,
    UpgradeRequest,
    UsageCounters,
)
from shared.messages.reading import Unreadable, decode, decode_header
from shared.messages.writing import (
    BODY_LIMIT,
    encode,
    encode_pairs,
    encode_records,
    failure_parts,
    usage_room,
    usage_size,
)
from shared.proxies import MAX_BIGINT, digest

UPGRADE = UpgradeRequest(
    id=1763838000000001,
    version="0.2.0",
    url="http://198.51.100.1:3007/bundle/manifest.json",
    sha256="ab" * 32,
)
REPORT = Report(rev=7, seen=8, top=3, digest="00000000000000ab", content="00000000000000cd", count=2, running=1)


def test_a_check_sync_is_a_list_of_pairs():
    assert encode_pairs([(12, 3), (14, 1)]) == [b"[[12,3],[14,1]]"]


def test_an_empty_check_sync_is_a_message_like_any_other():
    assert encode_pairs([]) == [b"[]"]
    assert decode("check-sync", b"[]") == CheckSync(pairs=())


def test_a_need_sync_is_a_list_of_ids():
    assert encode(NeedSync(ids=(12, 14))) == b"[12,14]"
    assert decode("need-sync", b"[12,14]") == NeedSync(ids=(12, 14))


def test_a_sync_is_a_list_of_records():
    body = encode_records([b'{"id":1,"version":2,"content":-3,"port":20000}'])
    assert body == [b'[{"id":1,"version":2,"content":-3,"port":20000}]']
    sync = decode("sync", body[0])
    assert isinstance(sync, Sync)
    assert (sync.items[0].id, sync.items[0].version, sync.items[0].content) == (1, 2, -3)
    assert sync.items[0].raw["port"] == 20000


def test_a_report_says_only_what_is_to_be_said():
    assert encode(REPORT) == (
        b'{"rev":7,"seen":8,"top":3,"digest":"00000000000000ab","content":"00000000000000cd","count":2,"running":1}'
    )
    assert decode("report", encode(REPORT)) == REPORT


def test_a_report_says_which_proxies_serve_nobody_and_what_was_counted():
    failure = ProxyFailure(id=4, version=2, reason="spent", kind="limited")
    usage = UsageCounters(
        id=4, epoch=1763838000000000, received_bytes=5, sent_bytes=70, connections=2, refused={"quota": 1}
    )
    report = REPORT.model_copy(update={"failed": (failure,), "usage": (usage,)})
    assert encode(report) == encode(REPORT)[:-1] + (
        b',"failed":[{"id":4,"version":2,"reason":"spent","kind":"limited"}],"usage":[{"id":4,"epoch":1763838000000000,'
        b'"received_bytes":5,"sent_bytes":70,"connections":2,"refused":{"quota":1}}]}'
    )
    assert decode("report", encode(report)) == report


def test_a_report_names_the_certificate_for_clients_that_speak_tls():
    certificate = TlsCertificate(
        pem="-----", names=("192.0.2.7",), expires_at=datetime(2030, 1, 1, tzinfo=UTC), self_made=True
    )
    report = REPORT.model_copy(update={"tls_certificate": certificate})
    assert encode(report) == encode(REPORT)[:-1] + (
        b',"tls_certificate":{"pem":"-----","names":["192.0.2.7"],"expires_at":"2030-01-01T00:00:00Z",'
        b'"self_made":true}}'
    )
    assert decode("report", encode(report)) == report


def test_a_report_says_how_busy_the_node_and_its_proxies_are():
    load = LoadReport(cpu=0.31, memory=0.42, rx_bps=1, tx_bps=2, connections=312)
    live = LiveFigures(id=4, connections=12, rx_bps=800, tx_bps=64_000), LiveFigures(id=5)
    report = REPORT.model_copy(update={"load": load, "live": live})
    assert encode(report) == encode(REPORT)[:-1] + (
        b',"load":{"cpu":0.31,"memory":0.42,"rx_bps":1,"tx_bps":2,"connections":312},'
        b'"live":[{"id":4,"connections":12,"rx_bps":800,"tx_bps":64000},{"id":5}]}'
    )
    assert decode("report", encode(report)) == report


def test_an_upgrade_names_a_version_and_where_its_manifest_is():
    assert encode(UPGRADE) == (
        b'{"id":1763838000000001,"version":"0.2.0","url":"http://198.51.100.1:3007/bundle/manifest.json","sha256":"'
        + b"ab" * 32
        + b'"}'
    )
    assert decode("upgrade", encode(UPGRADE)) == UPGRADE
    back = UPGRADE.model_copy(update={"downgrade": True})
    assert encode(back) == encode(UPGRADE)[:-1] + b',"downgrade":true}'


def test_a_report_says_how_the_nodes_upgrade_goes():
    upgrade = UpgradeReport(able=True, id=5, version="0.2.0", state="rolled_back", reason="no proxy accepts")
    report = REPORT.model_copy(update={"upgrade": upgrade})
    assert encode(report) == encode(REPORT)[:-1] + (
        b',"upgrade":{"able":true,"id":5,"version":"0.2.0","state":"rolled_back","reason":"no proxy accepts"}}'
    )
    assert decode("report", encode(report)) == report


def test_members_that_only_a_newer_node_knows_are_ignored():
    newer = encode(REPORT)[:-1] + (
        b',"load":{"cpu":0.5,"gpu":1},"live":[{"id":4,"colour":"red"}],"mood":"good",'
        b'"upgrade":{"able":true,"state":"rehearsing","speed":9}}'
    )
    assert decode("report", newer) == REPORT.model_copy(
        update={
            "load": LoadReport(cpu=0.5),
            "live": (LiveFigures(id=4),),
            "upgrade": UpgradeReport(able=True, state="rehearsing"),
        }
    )


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=12).filter(lambda name: name not in UpgradeRequest.model_fields),
        st.none() | st.integers() | st.text(max_size=5) | st.lists(st.booleans(), max_size=2),
        max_size=4,
    )
)
def test_what_only_a_newer_master_writes_in_an_upgrade_is_ignored(further: dict[str, object]):
    body = json.dumps({**json.loads(encode(UPGRADE)), **further}).encode()
    assert decode("upgrade", body) == UPGRADE


def test_a_report_full_of_failures_still_has_room_for_counters():
    failures = [ProxyFailure(id=i, version=1, reason="r" * 300) for i in range(1, 500)]
    for part, _, _ in failure_parts(failures):
        report = REPORT.model_copy(update={"failed": tuple(part)})
        usage = UsageCounters(id=MAX_BIGINT, epoch=MAX_BIGINT, sent_bytes=MAX_BIGINT)
        count = usage_room(report) // usage_size(usage)
        assert count > 50
        figures = LiveFigures(id=MAX_BIGINT, connections=10**12, tx_bps=10**12)
        live = (figures,) * (count // 3 * usage_size(usage) // usage_size(figures))
        counted = report.model_copy(update={"usage": (usage,) * (count - count // 3), "live": live})
        assert len(encode(counted)) <= BODY_LIMIT


@pytest.mark.parametrize(
    ("type_", "body"),
    [
        ("check-sync", b"[[1]]"),
        ("check-sync", b"[[0,1]]"),
        ("check-sync", b"[[1,9223372036854775808]]"),
        ("check-sync", b'[["1",1.5]]'),
        ("need-sync", b"{}"),
        ("sync", b'[{"id":1}]'),
        ("report", b'{"rev":-1}'),
        ("report", encode(REPORT)[:-1] + b',"usage":[{"id":1,"epoch":1,"sent_bytes":-1}]}'),
        ("report", encode(REPORT)[:-1] + b',"usage":[{"id":1,"epoch":1,"sent_bytes":9223372036854775808}]}'),
        ("report", encode(REPORT)[:-1] + b',"usage":[{"id":1,"epoch":1,"refused":{"\\u0000":1}}]}'),
        ("report", encode(REPORT)[:-1] + b',"load":{"cpu":1.5}}'),
        ("report", encode(REPORT)[:-1] + b',"live":[{"id":1,"tx_bps":-1}]}'),
        ("report", encode(REPORT)[:-1] + b',"live":[{"id":1,"connections":1000000000001}]}'),
        ("report", b"[" * 100_000),
        ("report", encode(REPORT)[:-1] + b',"upgrade":{"id":0}}'),
        ("report", encode(REPORT)[:-1] + b',"upgrade":{"state":"Done!"}}'),
        ("upgrade", b"[]"),
        ("upgrade", encode(UPGRADE).replace(b"0.2.0", b"../../x")),
        ("upgrade", encode(UPGRADE).replace(b"http://", b"file://")),
        ("upgrade", encode(UPGRADE).replace(b"manifest.json", b"a b")),
        ("upgrade", encode(UPGRADE).replace(b"abab", b"ABab")),
        ("upgrade", encode(UPGRADE).replace(b"1763838000000001", b"0")),
        ("unheard-of", b"[]"),
        (None, b"[]"),
        ("check-sync", b"\xff\xfe"),
        ("check-sync", b"[" + b"1," * 1_000_000 + b"1]"),
    ],
)
def test_what_cannot_be_acted_on_is_unreadable_and_says_why(type_: str | None, body: bytes):
    with pytest.raises(Unreadable, match=r".+"):
        decode(type_, body)


def test_no_complaint_repeats_what_was_sent():
    with pytest.raises(Unreadable) as caught:
        decode("report", b'{"rev": "a-secret"}')
    assert "a-secret" not in str(caught.value)


@given(st.sampled_from([*MESSAGE_TYPES, "x", None]), st.binary(max_size=300))
def test_no_bytes_make_the_decoder_raise_anything_else(type_: str | None, body: bytes):
    with contextlib.suppress(Unreadable):
        decode(type_, body)


@given(st.dictionaries(st.text(max_size=10), st.one_of(st.none(), st.integers(), st.text(), st.binary())))
def test_no_headers_make_the_decoder_raise_anything_else(headers: dict[str, object]):
    with contextlib.suppress(Unreadable):
        decode_header(headers)


def test_a_header_says_only_what_is_to_be_said():
    header = Header(v=1, cluster="c", node=1, rev=5, ip="203.0.113.7")
    told = header.model_dump(mode="json", exclude_defaults=True)
    assert told == {"v": 1, "cluster": "c", "node": 1, "rev": 5, "ip": "203.0.113.7"}
    assert decode_header(told) == header


def test_a_header_of_another_wire_version_is_unreadable():
    with pytest.raises(Unreadable, match="wire version 2"):
        decode_header({"v": 2, "cluster": "c", "node": 1, "rev": 1})


@given(st.integers(0, 12_000), st.integers(1, MAX_BIGINT))
def test_bodies_stay_under_the_limit_and_lose_nothing(count: int, version: int):
    pairs = [(MAX_BIGINT - i, version) for i in range(count)]
    bodies = encode_pairs(pairs)
    assert all(len(body) <= BODY_LIMIT for body in bodies)
    assert [pair for body in bodies for pair in decode("check-sync", body).pairs] == pairs  # type: ignore[union-attr]


def test_failures_are_split_into_ranges_that_cover_every_id_once():
    parts = failure_parts([ProxyFailure(id=i, version=1, reason="r" * 300) for i in range(1, 500)])
    assert len(parts) > 2
    assert next((first, last) for _, first, last in parts)[0] == 0
    assert parts[-1][2] == MAX_BIGINT
    assert all(earlier[2] + 1 == later[1] for earlier, later in itertools.pairwise(parts))
    assert all(first <= failure.id <= last for failures, first, last in parts for failure in failures)


def test_parts_act_only_when_all_are_there_in_whatever_order():
    header = Header(v=1, cluster="c", node=1, rev=5, part=2, parts=2)
    begun, pairs = assemble({}, "round", header, CheckSync(pairs=((3, 1),)))
    assert pairs is None
    done, pairs = assemble(begun, "round", header.model_copy(update={"part": 1}), CheckSync(pairs=((1, 1),)))
    assert (done, pairs) == ({}, ((1, 1), (3, 1)))


def test_a_round_that_lost_a_part_does_not_stand_in_the_way_of_another():
    begun, _ = assemble(
        {}, "lost", Header(v=1, cluster="c", node=1, rev=9, part=1, parts=2), CheckSync(pairs=((1, 1),))
    )
    _, pairs = assemble(begun, "next", Header(v=1, cluster="c", node=1, rev=5), CheckSync(pairs=((2, 2),)))
    assert pairs == ((2, 2),)


def test_rounds_that_never_end_do_not_pile_up():
    begun = {}
    for i in range(100):
        begun, _ = assemble(begun, f"r{i}", Header(v=1, cluster="c", node=1, rev=i, parts=2), CheckSync(pairs=()))
    assert len(begun) == 4


def test_the_digest_does_not_depend_on_order():
    assert digest([(1, 2), (3, 4)]) == digest([(3, 4), (1, 2)])
    assert digest([(1, 2)]) != digest([(2, 1)])
    assert digest([]) == "0" * 16
