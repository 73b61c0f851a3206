"""The messages that move a node to other addresses of the broker: their wire form, and what is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messages.bodies import BrokerReport, ConfigBody, ConfigOkBody, Report
from shared.messages.broker_config import CONFIG_LIMIT, certificates_in
from shared.messages.reading import Unreadable, decode
from shared.messages.writing import encode
from tests.tls.authority import Authority

CA = Authority("One").pem
PLAIN = ConfigBody(rev=3, amqp_urls=("amqp://broker.example:5672/maybe",))
SECURE = ConfigBody(rev=4, amqp_urls=("amqps://broker.example:5671/%2f", "amqps://[2001:db8::1]/"), ca="system")
REPORT = Report(rev=7, seen=8, top=3, digest="0" * 16, content="0" * 16, count=2, running=1)


def test_a_config_names_addresses_and_certificate_authorities():
    assert encode(PLAIN) == b'{"amqp_urls":["amqp://broker.example:5672/maybe"],"rev":3}'
    assert encode(SECURE) == (
        b'{"amqp_urls":["amqps://broker.example:5671/%2f","amqps://[2001:db8::1]/"],"ca":"system","rev":4}'
    )
    assert [decode("config", encode(body)) for body in (PLAIN, SECURE)] == [PLAIN, SECURE]


def test_a_config_carries_several_certificate_authorities():
    two = ConfigBody(rev=5, amqp_urls=SECURE.amqp_urls, ca=CA + Authority("Two").pem)
    assert decode("config", encode(two)) == two


def test_a_confirmation_names_the_revision():
    assert encode(ConfigOkBody(rev=3)) == b'{"rev":3}'
    assert decode("config-ok", b'{"rev":3}') == ConfigOkBody(rev=3)


def test_a_report_says_which_address_of_the_broker_is_used():
    broker = BrokerReport(rev=3, url="amqp://broker.example:5672/maybe", state="failed", reason="login refused")
    report = REPORT.model_copy(update={"broker": broker})
    assert encode(report) == encode(REPORT)[:-1] + (
        b',"broker":{"rev":3,"url":"amqp://broker.example:5672/maybe","state":"failed","reason":"login refused"}}'
    )
    assert decode("report", encode(report)) == report


def test_members_and_states_that_only_another_release_knows_are_ignored():
    assert decode("config", encode(PLAIN)[:-1] + b',"colour":"red"}') == PLAIN
    newer = encode(REPORT)[:-1] + b',"broker":{"rev":1,"state":"pondering","mood":"good"}}'
    assert decode("report", newer) == REPORT.model_copy(update={"broker": BrokerReport(rev=1, state="pondering")})


@pytest.mark.parametrize(
    "members",
    [
        {"rev": 0},
        {"rev": 2**63},
        {"amqp_urls": ()},
        {"amqp_urls": ("amqp://a", "amqp://b", "amqp://c", "amqp://d", "amqp://e")},
        {"amqp_urls": ("amqp://node-1:secret@broker/",)},
        {"amqp_urls": ("amqp://broker/?no_verify_ssl=1",)},
        {"amqp_urls": ("amqp://broker/?",)},
        {"amqp_urls": ("amqp://broker/#there",)},
        {"amqp_urls": ("amqp://broker/one/two",)},
        {"amqp_urls": ("amqp:///vhost",)},
        {"amqp_urls": ("amqp://broker:0/",)},
        {"amqp_urls": ("amqp://broker:65536/",)},
        {"amqp_urls": ("http://broker/",)},
        {"amqp_urls": ("amqp://broker\\@elsewhere/",)},
        {"amqp_urls": ("amqp://bro\nker/",)},
        {"amqp_urls": ("amqp://br\u00f6ker/",)},
        {"amqp_urls": ("amqp://" + "b" * 254,)},
        {"ca": "system"},
        {"amqp_urls": ("amqps://broker/",)},
        {"amqp_urls": ("amqps://broker/", "amqp://broker/"), "ca": CA},
    ],
)
def test_addresses_that_no_node_could_use_safely_are_refused(members: dict[str, object]):
    with pytest.raises(ValueError, match=r".+") as caught:
        ConfigBody.model_validate({"rev": 3, "amqp_urls": ("amqp://broker/",)} | members)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "ca",
    [
        "",
        "SYSTEM",
        "/etc/ssl/ca.pem",
        CA[:-40],
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        CA + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        CA + "\0" + CA,
        CA + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        CA * (CONFIG_LIMIT // len(CA) + 1),
    ],
)
def test_what_are_not_certificates_alone_is_refused(ca: str):
    with pytest.raises(ValueError, match="ca"):
        ConfigBody(rev=3, amqp_urls=("amqps://broker/",), ca=ca)


def test_a_config_of_more_than_sixteen_kibibytes_is_unreadable():
    body = encode(PLAIN)[:-1] + b',"x":"' + b"x" * CONFIG_LIMIT + b'"}'
    with pytest.raises(Unreadable, match="more than 16384"):
        decode("config", body)


def test_certificates_are_taken_out_of_a_file_with_comments_and_a_key(tmp_path: Path):
    authority = Authority()
    _, key = authority.issue(tmp_path, "127.0.0.1")
    text = f"Subject: me\n{authority.pem}\n{key.read_text()}\n{CA}"
    assert certificates_in(text) == authority.pem + CA
    assert not certificates_in(key.read_text())


@given(st.text(st.characters(codec="ascii"), max_size=60))
def test_no_address_is_accepted_that_holds_a_login_or_a_query(text: str):
    for address in (f"amqp://{text}", f"amqps://host{text}", f"amqp://host/{text}"):
        try:
            ConfigBody(rev=1, amqp_urls=(address,), ca="system" if address.startswith("amqps") else None)
        except ValueError:
            continue
        assert not set(address) & set("@?#\\ \n\t")
