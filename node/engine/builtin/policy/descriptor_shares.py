"""How much of a worker's descriptors and patience clients may take, decided by the process's real limit."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.engine_defaults import FAILED_LOGINS

_PER_SOURCE, _SOURCE_SHARE = 10_000, 8
"""Connections of one client address: far beyond any customer's need, and an eighth of the descriptors, of which each
connection takes two."""
_UNADMITTED, _UNADMITTED_SHARE = 8192, 4
"""A client is admitted within a second, so this is thousands of new connections a second."""
_PIPES, _PIPE_SHARE = 160, 16
"""Their buffers take 52 MiB of the 64 that an unprivileged user gets (pipe(7), pipe-user-pages-soft)."""
_ASSOCIATIONS, _ASSOCIATION_SHARE = 1024, 4
"""Each takes up to four descriptors."""


class DescriptorShares(NamedTuple):
    """`per_source` counts open connections of one client address, `unadmitted` those of the worker whose clients have
    not logged in, `unadmitted_per_proxy` those of one proxy. `pipes` and `associations` are of the worker and of one
    proxy. A connection is closed with the last of `failed_logins`."""

    per_source: int
    unadmitted: int
    unadmitted_per_proxy: int
    failed_logins: int
    pipes: int
    associations: int


def descriptor_shares(descriptors: int, asked: Mapping[str, Any] | None = None) -> DescriptorShares:
    """Shares of the descriptors that the process may have (RLIMIT_NOFILE), as far as nothing else is asked for."""
    wanted = {name: int(value) for name, value in (asked or {}).items() if value is not None}
    unadmitted = wanted.get("unadmitted_connections", min(_UNADMITTED, descriptors // _UNADMITTED_SHARE))
    unadmitted = max(2, min(unadmitted, descriptors // 2))
    return DescriptorShares(
        per_source=wanted.get("connections_per_source", max(1, min(_PER_SOURCE, descriptors // _SOURCE_SHARE))),
        unadmitted=unadmitted,
        unadmitted_per_proxy=unadmitted // 2,
        failed_logins=wanted.get("failed_logins", FAILED_LOGINS),
        pipes=min(_PIPES, descriptors // _PIPE_SHARE // 2),
        associations=max(1, min(_ASSOCIATIONS, descriptors // _ASSOCIATION_SHARE // 4)),
    )
