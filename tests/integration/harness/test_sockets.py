"""Sockets are told apart by address and port, not by the number of the port alone."""

import socket
from collections.abc import Iterator

import pytest

from tests.clients.streams import HERE
from tests.services.sockets import connection, listeners

ELSEWHERE = "127.0.0.2"
needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def twins() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two listeners with the same port number at different addresses."""
    with socket.create_server((HERE, 0)) as one, socket.create_server((ELSEWHERE, one.getsockname()[1])) as other:
        yield one, other


def test_a_listener_at_another_address_is_another(twins: tuple[socket.socket, socket.socket]) -> None:
    port = twins[0].getsockname()[1]
    assert [one.local for one in listeners(port, HERE)] == [(HERE, port)]
    assert [one.local for one in listeners(port, ELSEWHERE)] == [(ELSEWHERE, port)]


@pytest.mark.parametrize(
    ("family", "every"), [(socket.AF_INET, "0.0.0.0"), pytest.param(socket.AF_INET6, "::", marks=needs_ipv6)]
)
def test_a_listener_at_all_addresses_listens_at_each(family: socket.AddressFamily, every: str) -> None:
    with socket.create_server((every, 0), family=family) as server:
        port = server.getsockname()[1]
        assert (every, port) in [one.local for one in listeners(port, HERE)]


def test_a_connection_is_found_by_both_of_its_ends(twins: tuple[socket.socket, socket.socket]) -> None:
    with socket.create_connection(twins[0].getsockname()) as client, socket.create_connection(twins[1].getsockname()):
        near, far = client.getsockname(), client.getpeername()
        found = connection(far, near)
        assert found is not None
        assert (found.local, found.remote) == (far, near)
        assert connection((ELSEWHERE, far[1]), near) is None


@needs_ipv6
def test_an_ipv4_client_of_an_ipv6_socket_is_found_by_its_ipv4_address() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        port = server.getsockname()[1]
        with socket.create_connection((HERE, port)) as client:
            assert connection((HERE, port), client.getsockname()) is not None
