"""Metrics of the licence. Pure."""

from datetime import datetime

from master.domain.license.keys import SignedLicense
from master.domain.license.state import LimitedKind, grace_until, limit_of, state_of
from master.instruments import by

KINDS: tuple[LimitedKind, ...] = ("nodes", "proxies")


def license_families(current: SignedLicense | None, now: datetime) -> tuple[str, ...]:
    """Return the state, the ends and the limits of the licence that counts. Without one there is just the state."""
    ends: dict[tuple[str, ...], float] = {}
    limits: dict[tuple[str, ...], float] = {}
    if current is not None:
        ends = {("valid",): current.valid_to.timestamp(), ("grace",): grace_until(current).timestamp()}
        limits = {(kind,): limit for kind in KINDS if (limit := limit_of(current, kind)) is not None}
    return (
        by("maybe_license", "The state of the licence.", ("state",), {(state_of(current, now),): 1}),
        by("maybe_license_end_timestamp_seconds", "When the licence and its grace period end.", ("period",), ends),
        by("maybe_license_limit", "The numbers of nodes and proxies that the licence allows.", ("kind",), limits),
    )
