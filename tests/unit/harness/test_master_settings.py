"""The master's settings are read strictly, and an API that anybody may reach is warned of."""

import pytest

from master.errors import BadConfiguration
from master.exposure import exposed, exposure_finding, own_addresses
from master.settings import read_settings

ENV = {
    "DATABASE_HOST": "h",
    "DATABASE_USERNAME": "u",
    "DATABASE_PASSWORD": "p",
    "DATABASE_NAME": "n",
    "AMQP_URL": "amqp://h/",
    "RABBITMQ_MANAGEMENT_URL": "http://h:15672",
}
PUBLIC_V4, PUBLIC_V6 = "93.184.216.34", "2606:2800:220:1::1"
OWN = ["127.0.0.1", "10.0.0.5", PUBLIC_V4, "::1", "fe80::1", PUBLIC_V6]


def test_without_settings_no_name_is_known_and_nodes_wait_at_one_port():
    read = read_settings(ENV)
    assert (read.own_hosts, read.public_url, read.enrol_ports) == (frozenset(), None, (range(3006, 3007),))


def test_names_of_the_api_are_read_as_they_are_compared():
    read = read_settings({**ENV, "API_HOSTS": " API.example.com., b.example.org ,192.0.2.1,"})
    assert read.own_hosts == {"api.example.com", "b.example.org", "192.0.2.1"}


@pytest.mark.parametrize(
    "text", ["*", "*.example.com", "https://a.example", "a.example:3005", "a b", "a/b", "-a", "ü.example"]
)
def test_what_is_no_name_of_a_host_is_refused(text: str):
    with pytest.raises(BadConfiguration, match="API_HOSTS"):
        read_settings({**ENV, "API_HOSTS": text})


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://proxies.example.com", "https://proxies.example.com"),
        ("https://proxies.example.com/", "https://proxies.example.com"),
        ("http://proxies.example.com:8080/a/b/", "http://proxies.example.com:8080/a/b"),
        ("https://[2001:db8::1]/", "https://[2001:db8::1]"),
    ],
)
def test_a_public_url_has_no_slash_at_its_end_and_its_host_is_known(text: str, url: str):
    read = read_settings({**ENV, "PUBLIC_URL": text, "API_HOSTS": "other.example"})
    assert read.public_url == url
    assert len(read.own_hosts) == 2


@pytest.mark.parametrize(
    "text",
    [
        "proxies.example.com",
        "ftp://a.example",
        "https://",
        "https://a.example/?a=b",
        "https://a.example/?",
        "https://a.example/#a",
        "https://user:hush@a.example/",
        "https://a.example/a b",
        "https://a.example/\n",
        "https://a..example/",
        "https://a.example:0/",
        "https://a.example:99999/",
    ],
)
def test_what_is_no_plain_url_is_refused_and_not_repeated(text: str):
    with pytest.raises(BadConfiguration, match="PUBLIC_URL") as caught:
        read_settings({**ENV, "PUBLIC_URL": text})
    assert "hush" not in str(caught.value)


def test_ports_of_nodes_are_a_list_of_ports_and_ranges():
    read = read_settings({**ENV, "ENROL_PORTS": "3006, 3100-3199,65535"})
    assert read.enrol_ports == (range(3006, 3007), range(3100, 3200), range(65535, 65536))


@pytest.mark.parametrize(
    "text", ["0", "65536", "3006-", "-3006", "3199-3100", "3006;3007", "any", "3_006", "٣٠٠٦", "3006,,3007"]
)
def test_what_is_no_list_of_ports_is_refused(text: str):
    with pytest.raises(BadConfiguration, match="ENROL_PORTS"):
        read_settings({**ENV, "ENROL_PORTS": text})


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("0.0.0.0", [PUBLIC_V4]),
        ("::", [PUBLIC_V4, PUBLIC_V6]),
        ("127.0.0.1", []),
        ("10.0.0.5", []),
        ("::1", []),
        ("fe80::1", []),
        ("100.64.0.1", []),
        (PUBLIC_V4, [PUBLIC_V4]),
        (PUBLIC_V6, [PUBLIC_V6]),
    ],
)
def test_an_api_at_a_public_address_is_warned_of(host: str, public: list[str]):
    assert exposed(host, OWN) == public
    finding = exposure_finding(host, OWN)
    assert (finding.level, "admin token" in finding.advice) == (("warning", True) if public else ("ok", False))


def test_an_api_on_all_addresses_of_a_private_host_is_not_warned_of():
    assert exposed("0.0.0.0", ["127.0.0.1", "192.168.1.2"]) == []


def test_a_host_knows_its_own_addresses():
    assert "127.0.0.1" in own_addresses()
