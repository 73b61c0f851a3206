"""Findings about the licence. Pure."""

from datetime import datetime

from master.domain.license.keys import SignedLicense
from master.domain.license.schemas import UnusableKey
from master.domain.license.state import NOTICE_DAYS, grace_until, state_of
from shared.doctor.findings import Finding, ok, problem, warning

CHECK = "licence"
RENEW = "install a new key with PUT /license; what exists keeps running"


def license_findings(current: SignedLicense | None, now: datetime, unusable: UnusableKey | None) -> list[Finding]:
    """Judge the licence that counts, and the key of the settings if it is unusable."""
    found = [state_finding(current, now)]
    if unusable is not None:
        advice = "copy the key again as it was delivered, or remove the setting; until then it counts for nothing"
        found.append(problem(CHECK, f"{unusable.setting}: {unusable.reason}", advice))
    return found


def state_finding(current: SignedLicense | None, now: datetime) -> Finding:
    """Judge the licence that counts."""
    if current is None:
        return ok(CHECK, "none; everything works without limits")
    text = f"{current.id} of {current.customer}, valid to {current.valid_to.date()}"
    match state_of(current, now):
        case "expired":
            return problem(CHECK, f"{text}: no new nodes and proxies are created", RENEW)
        case "grace":
            return warning(CHECK, f"{text}: in its grace period until {grace_until(current).date()}", RENEW)
        case _ if (current.valid_to - now).days < NOTICE_DAYS[0]:
            return warning(CHECK, f"{text}: it ends in {(current.valid_to - now).days} days", RENEW)
        case _:
            return ok(CHECK, text)
