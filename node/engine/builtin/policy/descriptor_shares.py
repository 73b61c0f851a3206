"""Divides a worker's file descriptors among its clients, by the process's actual limit."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.engine.defaults import FAILED_LOGINS

_PER_SOURCE, _SOURCE_SHARE = 10_000, 8
"""Connections of one client address: far more than any customer needs, and an eighth of the descriptors, of which each
connection takes two."""
_UNADMITTED, _UNADMITTED_SHARE = 8192, 4
"""A client is admitted within a second, so this is thousands of new connections a second."""
_PIPES, _PIPE_SHARE = 160, 16
"""Their buffers take 52 MiB of the 64 that an unprivileged user gets (pipe(7), pipe-user-pages-soft)."""
_ASSOCIATIONS, _ASSOCIATION_SHARE = 1024, 4
"""Each takes up to four descriptors."""


class DescriptorShares(NamedTuple):
    """Upper bounds of one worker."""

    per_source: int
    """Open connections of one client address."""
    unadmitted: int
    """Open connections of the worker whose clients have not logged in."""
    unadmitted_per_proxy: int
    """The same for one proxy."""
    failed_logins: int
    """Failed logins after which a connection is closed."""
    pipes: int
    """Pipes of the worker."""
    associations: int
    """UDP associations of one proxy."""


def descriptor_shares(descriptors: int, overrides: Mapping[str, Any] | None = None) -> DescriptorShares:
    """Divide the descriptors that the process may have (RLIMIT_NOFILE); `overrides` are settings of the operator."""
    settings = {name: int(value) for name, value in (overrides or {}).items() if value is not None}
    unadmitted = settings.get("unadmitted_connections", min(_UNADMITTED, descriptors // _UNADMITTED_SHARE))
    unadmitted = max(2, min(unadmitted, descriptors // 2))
    return DescriptorShares(
        per_source=settings.get("connections_per_source", max(1, min(_PER_SOURCE, descriptors // _SOURCE_SHARE))),
        unadmitted=unadmitted,
        unadmitted_per_proxy=unadmitted // 2,
        failed_logins=settings.get("failed_logins", FAILED_LOGINS),
        pipes=min(_PIPES, descriptors // _PIPE_SHARE // 2),
        associations=max(1, min(_ASSOCIATIONS, descriptors // _ASSOCIATION_SHARE // 4)),
    )
