"""Frames of a broker as a stranger may have filled them: decodable always, at the same length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.frame import marshal, unmarshal
from pamqp.header import ContentHeader

from shared.bus.frames import HEAD, readable

DELIVERY = Basic.Deliver(
    consumer_tag="tag", delivery_tag=2**63 - 1, redelivered=False, exchange="mp.master", routing_key=""
)


def content_header(flags: bytes, properties: bytes) -> bytes:
    payload = b"\0\x3c\0\0" + (77).to_bytes(8) + flags + properties
    return b"\2\0\1" + len(payload).to_bytes(4) + payload + b"\xce"


def decoded(frame: bytes) -> object:
    head, rest = frame[:HEAD], frame[HEAD:]
    found = readable(head, rest)
    assert len(found) == len(rest)
    return unmarshal(head + found)[2]


@given(st.binary(min_size=2, max_size=2), st.binary(max_size=100))
def test_any_properties_can_be_decoded_and_keep_the_bodys_size(flags: bytes, properties: bytes):
    header = decoded(content_header(flags, properties))
    assert isinstance(header, ContentHeader)
    assert header.body_size == 77


@given(st.binary(max_size=255))
def test_any_routing_key_can_be_decoded_and_keeps_its_delivery(key: bytes):
    frame = bytearray(marshal(DELIVERY, 1)[:-2] + bytes([len(key)]) + key + b"\xce")
    frame[3:7] = (len(frame) - 8).to_bytes(4)
    delivery = decoded(bytes(frame))
    assert isinstance(delivery, Basic.Deliver)
    assert (delivery.delivery_tag, delivery.exchange) == (2**63 - 1, "mp.master")


@pytest.mark.parametrize("time", [2**63, 2**64 - 1])
def test_a_time_past_all_years_is_no_failure(time: int):
    decoded(content_header(b"\0\x40", time.to_bytes(8)))


def test_what_can_be_decoded_is_left_as_it_is():
    frame = content_header(b"\0\x20", b"\6report")
    assert readable(frame[:HEAD], frame[HEAD:]) == frame[HEAD:]
