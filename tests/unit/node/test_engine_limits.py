"""What an engine cannot do is told by name."""

from typing import Any

import pytest

from shared.engine.limits import unsupported
from shared.proxies import Exit, Limits

EVERYTHING = Limits.model_validate(
    {"connections": 1, "bandwidth_bps": 10**9, "traffic_bytes": 1, "expires_at": "2030-01-01T00:00:00Z"}
)


def test_the_builtin_engine_can_do_everything() -> None:
    assert unsupported("builtin", Exit(mode="ipv6_session"), EVERYTHING) == []


@pytest.mark.parametrize("mode", ["default", "address"])
def test_3proxy_leaves_from_an_address_and_limits_connections_and_bandwidth(mode: Any) -> None:
    exit_ = Exit(mode=mode, address="192.0.2.1" if mode == "address" else None)
    assert unsupported("3proxy", exit_, Limits(connections=1, bandwidth_bps=50_000_000)) == []


@pytest.mark.parametrize("mode", ["ipv6_random", "ipv6_session"])
def test_all_that_3proxy_cannot_do_is_named_at_once(mode: Any) -> None:
    refused = unsupported("3proxy", Exit(mode=mode), EVERYTHING)
    assert [field for field, _ in refused] == [
        "exit.mode",
        "limits.bandwidth_bps",
        "limits.traffic_bytes",
        "limits.expires_at",
    ]


def test_a_reason_names_the_engine_and_the_way_out() -> None:
    ((_, reason),) = unsupported("3proxy", Exit(), Limits(traffic_bytes=1))
    assert reason.startswith("3proxy cannot ")
    assert reason.endswith(": use the builtin engine")
