"""What 3proxy is told, byte by byte."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.builtin.policy.destination_guard import DestinationGuard, networks
from node.engine.interface import EngineError
from node.engine.three_proxy.configuration import configuration, sources
from node.engine.three_proxy.destinations import guard
from node.engine.three_proxy.readiness import NO_MIXED, outcome_of, reason
from shared.proxies import CREDENTIAL_MAX, ProxyRecord
from shared.special_addresses import CLOSED, PUBLIC

ALLOWED_IN_BOTH = "".join(chr(code) for code in range(33, 127) if chr(code) not in '"\\:,*#;')
CREDENTIAL = st.text(ALLOWED_IN_BOTH, min_size=1, max_size=CREDENTIAL_MAX)


def record(**changes: Any) -> ProxyRecord:
    fields = {"id": 1, "version": 1, "content": 7, "protocol": "mixed", "port": 20001}
    return ProxyRecord.model_validate(fields | {"username": "alice", "password": "wonder-1"} | changes)


def test_a_proxy_with_login_and_sources_is_written_so() -> None:
    text = configuration(record(allow_ips=("192.0.2.0/24", "2001:db8::1")), listen="127.0.0.1")
    assert text == (
        "log\n"
        'logformat "L=%E %I %O %1-1T"\n'
        "logdump 262144 262144\n"
        "maxconn 20000\n"
        "stacksize 262144\n"
        "timeouts 10 30 30 60 180 86400 15 60 15 5\n"
        "auth strong\n"
        'users "alice:CL:wonder-1"\n'
        'allow "alice" 192.0.2.0/24 * * HTTP,HTTPS,CONNECT\n'
        'allow "alice" 2001:db8::1/128 * * HTTP,HTTPS,CONNECT\n'
        "auto -46 -a -u2 -ocTCP_NODELAY,SO_KEEPALIVE -osTCP_NODELAY,SO_KEEPALIVE -i127.0.0.1 -p20001\n"
    )


BOB = {"username": "bob", "password": "builder-1"}


def test_a_further_login_on_the_same_port_is_one_more_user_and_changing_places_changes_nothing() -> None:
    both = record(also=[{"port": 20001, **BOB}])
    text = configuration(both, listen="127.0.0.1")
    assert 'users "alice:CL:wonder-1"\nusers "bob:CL:builder-1"\nallow "alice,bob" * * *' in text
    also = [{"port": 20001, "username": "alice", "password": "wonder-1"}]
    assert configuration(record(**BOB, also=also), listen="127.0.0.1") == text


def test_a_second_port_is_refused_by_name() -> None:
    with pytest.raises(EngineError, match="3proxy cannot listen on a second port"):
        configuration(record(also=[{"port": 20002, **BOB}]), listen="127.0.0.1")


def test_a_proxy_without_login_knows_only_sources() -> None:
    lines = configuration(
        record(username=None, password=None, allow_ips=("192.0.2.7",)), listen="127.0.0.1"
    ).splitlines()
    assert "auth iponly" in lines
    assert [line for line in lines if line.startswith(("allow", "deny", "users"))] == [
        "allow * 192.0.2.7/32 * * HTTP,HTTPS,CONNECT",
    ]


@pytest.mark.parametrize(("protocol", "service"), [("http", "proxy"), ("socks5", "socks"), ("mixed", "auto")])
def test_each_protocol_has_its_service_and_it_comes_last(protocol: str, service: str) -> None:
    lines = configuration(record(protocol=protocol), listen="127.0.0.1").splitlines()
    assert lines[-1].startswith(f"{service} ")


def test_name_servers_take_the_place_of_the_system_resolver() -> None:
    text = configuration(record(), listen="127.0.0.1", nservers=("192.0.2.53", "2001:db8::53"))
    assert "nserver 192.0.2.53\nnserver 2001:db8::53\nnscache 65536\n" in text


def test_on_an_ipv6_socket_an_ipv4_source_is_known_by_its_mapped_address_too() -> None:
    networks = ["192.0.2.0/24", "2001:db8::/32"]
    assert list(sources(networks, mapped=False)) == networks
    assert list(sources(networks, mapped=True)) == ["192.0.2.0/24", "::ffff:c000:200/120", "2001:db8::/32"]


@pytest.mark.parametrize(
    "login",
    [
        {"username": None, "password": None},
        {"username": None},
        {"password": None},
        {"password": None, "allow_ips": ("192.0.2.1",)},
        {"username": None, "allow_ips": ("192.0.2.1",)},
    ],
)
def test_a_proxy_that_nobody_or_anybody_could_use_is_refused(login: dict[str, Any]) -> None:
    with pytest.raises(EngineError):
        configuration(record(**login), listen="127.0.0.1")


def rules_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("allow", "deny"))]


def test_what_is_closed_stands_between_what_is_opened_of_it_and_the_rest() -> None:
    text = configuration(
        record(), listen="127.0.0.1", guard=guard(["127.0.0.0/8", "::1"], ["127.0.0.9", "2001:db8::/32"])
    )
    assert rules_of(text) == [
        'allow "alice" * 127.0.0.9/32 * HTTP,HTTPS,CONNECT',
        'allow "alice" * ::ffff:7f00:9/128 * HTTP,HTTPS,CONNECT',
        'allow "alice" * 2002:7f00:9::/48 * HTTP,HTTPS,CONNECT',
        'allow "alice" * 64:ff9b::7f00:9/128 * HTTP,HTTPS,CONNECT',
        "deny * * 127.0.0.0/8",
        "deny * * ::ffff:7f00:0/104",
        "deny * * 2002:7f00::/24",
        "deny * * 64:ff9b::7f00:0/104",
        "deny * * ::7f00:0/104",
        "deny * * ::ffff:0:7f00:0/104",
        'allow "alice" * 2001:db8::/32 * HTTP,HTTPS,CONNECT',
        "deny * * 2001::/32",
        "deny * * ::1/128",
        'allow "alice" * * * HTTP,HTTPS,CONNECT',
    ]


def permits(rules: list[str], host: str) -> bool:
    """What 3proxy makes of the rules: the first one that names the address decides."""
    for rule in rules:
        place = rule.split(" ")[3]
        if place == "*" or ip_address(host) in ip_network(place):
            return rule.startswith("allow")
    return False


@given(st.data())
def test_the_rules_say_of_every_address_what_the_built_in_engines_guard_says(data: st.DataObject) -> None:
    """But of Teredo and ISATAP, which no prefix can tell."""
    opened = data.draw(st.lists(st.sampled_from(["10.1.0.0/16", "2001:db8::/32", "fd00::/8", "64:ff9b::/96"])))
    own = data.draw(st.lists(st.sampled_from(["8.8.8.8", "2606:4700::1"])))
    rules = rules_of(configuration(record(), listen="127.0.0.1", guard=guard([*map(str, CLOSED), *own], opened)))
    place = data.draw(st.sampled_from([*CLOSED, *PUBLIC, *map(ip_network, (*opened, *own, "1.0.0.0/8", "2400::/12"))]))
    number = int(place.network_address) + data.draw(st.integers(0, place.num_addresses - 1))
    address = IPv4Address(number) if place.version == 4 else IPv6Address(number)
    if address not in ip_network("2001::/32") and not (place.version == 6 and (number >> 32) % 2**25 == 0x5EFE):
        ours = DestinationGuard(networks(opened), networks(own)).permits(str(address))
        assert permits(rules, str(address)) is ours


@pytest.mark.parametrize(
    "asked",
    [
        {"exit": {"mode": "ipv6_random", "prefix": "2001:db8::/64"}},
        {"exit": {"mode": "ipv6_session", "prefix": "2001:db8::/64"}},
        {"limits": {"traffic_bytes": 1}},
        {"limits": {"expires_at": "2030-01-01T00:00:00Z"}},
        {"limits": {"bandwidth_bps": 50_000_001}},
    ],
)
def test_what_3proxy_cannot_do_is_refused_by_name(asked: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match=r"3proxy cannot .*: use the builtin engine"):
        configuration(record(**asked), listen="127.0.0.1")


@given(username=CREDENTIAL, password=CREDENTIAL)
def test_no_login_adds_a_directive_or_a_line_that_is_too_long(username: str, password: str) -> None:
    plain = configuration(record(), listen="127.0.0.1").splitlines()
    lines = configuration(record(username=username, password=password), listen="127.0.0.1").splitlines()
    assert [line.split(" ")[0] for line in lines] == [line.split(" ")[0] for line in plain]
    assert max(map(len, lines)) < 1024


@given(st.lists(st.ip_addresses(), min_size=1, max_size=300).map(lambda addresses: tuple(map(str, addresses))))
def test_any_number_of_sources_keeps_lines_short_and_lets_no_other_in(allow_ips: tuple[str, ...]) -> None:
    lines = configuration(record(allow_ips=allow_ips), listen="::").splitlines()
    assert max(map(len, lines)) < 1024
    rules = [line for line in lines if line.startswith(("allow", "deny"))]
    assert {rule.split(" ")[:2] == ["allow", '"alice"'] for rule in rules} == {True}
    assert "*" not in {rule.split(" ")[2] for rule in rules}


@pytest.mark.parametrize(
    ("lines", "outcome"),
    [
        ([], "none"),
        (["[line 3] Warning: current open file ulimits are too low"], "none"),
        (["=00000 0 0 Accepting"], "ready"),
        (["=00000"], "none"),
        (["=00000 0 0 bind():"], "failed"),
        (["=00000 0 0 listen():"], "failed"),
        (["Unknown command: 'Accepting' line 2"], "none"),
    ],
)
def test_the_log_tells_whether_it_accepts(lines: list[str], outcome: str) -> None:
    assert outcome_of(lines) == outcome


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "its log is empty"),
        (["=00000 0 0 bind():"], "bind() failed"),
        (["Unknown command: 'auto' line 12"], NO_MIXED),
        (["Unknown command: 'x' line 2", "[line 3] Warning: low", ""], "Unknown command: 'x' line 2"),
    ],
)
def test_the_reason_is_the_last_line_that_is_no_warning(lines: list[str], told: str) -> None:
    assert reason(lines, ["secret"]) == told


def test_a_reason_never_holds_the_password() -> None:
    assert "s3cret" not in reason(["Failed to open s3cret"], ["s3cret"])
