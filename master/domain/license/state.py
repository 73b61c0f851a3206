"""The state of a licence at a moment, and what it refuses. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from master.domain.license.keys import SignedLicense

LicenseState = Literal["community", "not_yet_valid", "valid", "grace", "expired"]
LicenseStage = Literal["", "30_days", "14_days", "3_days", "expired", "grace_over"]

STAGES: tuple[LicenseStage, ...] = ("", "30_days", "14_days", "3_days", "expired", "grace_over")
"""The stages that a licence passes, in order; each but the first is announced by an event."""
NOTICE_DAYS = (30, 14, 3)
CLOCKS_DIFFER = timedelta(hours=24)
"""A licence counts so long before `valid_from`: the clock of whoever issued it may be ahead, or in another zone."""

LimitedKind = Literal["nodes", "proxies"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseRefusal:
    """Why nothing new may be created. `counted` and `allowed` are None unless a limit is the reason."""

    reason: str
    counted: int | None = None
    allowed: int | None = None


def newest(licenses: Iterable[SignedLicense]) -> SignedLicense | None:
    """Return the licence that counts: the one that was issued last."""
    return max(licenses, key=lambda one: (one.issued_at, one.id), default=None)


def grace_until(license_: SignedLicense) -> datetime:
    """Return the moment from which new nodes and proxies are refused."""
    return license_.valid_to + timedelta(days=license_.grace_days)


def state_of(license_: SignedLicense | None, now: datetime) -> LicenseState:
    """Return the state at a moment. A licence that begins later limits nothing yet."""
    if license_ is None:
        return "community"
    if now < license_.valid_from - CLOCKS_DIFFER:
        return "not_yet_valid"
    if now < license_.valid_to:
        return "valid"
    return "grace" if now < grace_until(license_) else "expired"


def stage_of(license_: SignedLicense, now: datetime) -> LicenseStage:
    """Return the last stage that the licence has reached."""
    state = state_of(license_, now)
    if state == "expired":
        return "grace_over"
    if state == "grace":
        return "expired"
    left = license_.valid_to - now
    reached = [days for days in NOTICE_DAYS if left <= timedelta(days=days)]
    match min(reached, default=None):
        case 30:
            return "30_days"
        case 14:
            return "14_days"
        case 3:
            return "3_days"
        case _:
            return ""


def is_later(stage: LicenseStage, other: LicenseStage) -> bool:
    """Whether a stage comes after another one."""
    return STAGES.index(stage) > STAGES.index(other)


def limit_of(license_: SignedLicense, kind: LimitedKind) -> int | None:
    """Return the greatest number of nodes or proxies; None: any number."""
    return license_.max_nodes if kind == "nodes" else license_.max_proxies


def refusal_of(
    license_: SignedLicense | None, now: datetime, kind: LimitedKind, *, present: int, new: int
) -> LicenseRefusal | None:
    """Return why `new` nodes or proxies may not be added to the present ones, or None. Removing is never refused."""
    state = state_of(license_, now)
    if license_ is None or state in ("community", "not_yet_valid") or new <= 0:
        return None
    if state == "expired":
        ended, over = license_.valid_to.date(), grace_until(license_).date()
        return LicenseRefusal(
            reason=f"the licence ended on {ended}, and its grace period on {over}; no new {kind} are created"
        )
    allowed = limit_of(license_, kind)
    if allowed is None or present + new <= allowed:
        return None
    reason = f"the licence allows {allowed} {kind}; there are {present}, and {new} more were requested"
    return LicenseRefusal(reason=reason, counted=present, allowed=allowed)
