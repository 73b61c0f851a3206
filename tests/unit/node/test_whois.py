"""Whose a random exit address was."""

from ipaddress import IPv6Address
from pathlib import Path

import pytest

from node.commands.whois import traces, whois
from node.engine.builtin.net.exit_counter import BLOCK, ExitCounter
from node.errors import NodeError
from node.settings import Settings, read_settings
from shared.engine.permutation import Permutation
from shared.proxies import Exit, ProxyRecord
from tests.engines.local_copy import hold

PREFIX, KEY, OTHER_KEY = "2001:db8:1:2::/64", "0f" * 16, "f0" * 16
RANDOM = Exit(mode="ipv6_random", prefix=PREFIX, key=KEY)


def address(proxy: int, counter: int, prefix: str = PREFIX, key: str = KEY) -> IPv6Address:
    return IPv6Address(Permutation(prefix, bytes.fromhex(key)).address(proxy, counter))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"NODE_DATA_DIR": str(tmp_path)})


def draw(settings: Settings, *keys: str) -> None:
    """As a worker does that draws one address under each key."""
    engine = settings.data_dir / "builtin"
    engine.mkdir()
    for key in keys:
        draws = ExitCounter(engine)
        draws.note(PREFIX, bytes.fromhex(key))
        draws.next()


def test_an_address_is_traced_to_its_proxy_and_connection() -> None:
    (found,) = traces(address(17, 5), [(PREFIX, OTHER_KEY), (PREFIX, KEY)], {17, 18}, BLOCK)
    assert (found.prefix, found.number, found.proxies) == (PREFIX, 5, (17,))
    assert str(found) == f"proxy 17 (connection 5 from {PREFIX})"


def test_a_proxy_that_is_gone_is_told_by_its_number() -> None:
    (found,) = traces(address(17, 5), [(PREFIX, KEY)], {18}, BLOCK)
    assert str(found).startswith("a deleted proxy, with id 17 plus a multiple of 268435456")


def test_a_small_prefix_names_every_proxy_that_it_can_be() -> None:
    small = "2001:db8::/112"
    (found,) = traces(address(17, 5, small), [(small, KEY)], {17, 17 + 128, 18}, BLOCK)
    assert found.proxies == (17, 145)


def test_a_number_that_was_not_reserved_yet_was_nobodys() -> None:
    assert traces(address(17, BLOCK), [(PREFIX, KEY)], {17}, BLOCK) == []


def test_an_address_of_another_prefix_was_nobodys() -> None:
    assert traces(IPv6Address("2001:db8:1:3::1"), [(PREFIX, KEY)], {17}, BLOCK) == []


def test_the_local_copy_knows_the_proxies_and_the_engine_the_keys_of_those_that_are_gone(settings: Settings) -> None:
    hold(settings, ProxyRecord(id=17, version=1, content=1, protocol="http", port=20001, username="a", exit=RANDOM))
    draw(settings, KEY, OTHER_KEY)
    assert [trace.proxies for trace in whois(settings, str(address(17, 0)))] == [(17,)]
    assert [trace.rest for trace in whois(settings, str(address(4, 1, key=OTHER_KEY)))] == [4]


@pytest.mark.parametrize("text", ["", "nowhere", "192.0.2.1", "2001:db8::1", "2001:db8:1:2::1"])
def test_what_this_node_never_drew_is_an_error_in_words(settings: Settings, text: str) -> None:
    draw(settings, KEY)
    with pytest.raises(NodeError, match=r"is not an IP address|no proxy of this node used") as error:
        whois(settings, text)
    assert KEY not in str(error.value)
