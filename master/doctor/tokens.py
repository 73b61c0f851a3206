"""Findings about who may use the API. Pure."""

from collections.abc import Sequence

from master.db.database import Row
from master.domain.tokens.schemas import SETTING
from master.domain.tokens.service import GONE_ADVICE, OPEN_ADVICE
from shared.doctor.findings import Finding, ok, problem, warning

CHECK = "authorization"
NOTICE_DAYS = 30
CREATE = "create another one with POST /tokens, or with `maybe-master token create` on the host of a master"


def token_findings(admins: Sequence[Row], *, is_set: bool) -> list[Finding]:
    """Judge the admin tokens, given by `name` and `days` until they expire; `is_set`: API_TOKEN is."""
    if not admins:
        return [warning(CHECK, "the API is open to everybody, because there is no admin token", OPEN_ADVICE)]
    found = [expiry_finding([row["days"] for row in admins])]
    if not is_set and any(row["name"] == SETTING for row in admins):
        found.append(warning(CHECK, f"the token {SETTING} counts although this setting is not set", GONE_ADVICE))
    return found


def expiry_finding(days: Sequence[int | None]) -> Finding:
    """Judge when nobody will be able to manage tokens any more."""
    longest = None if None in days else max(one for one in days if one is not None)
    if longest is None or longest > NOTICE_DAYS:
        return ok(CHECK, f"every request needs a token; {len(days)} can manage them")
    if longest <= 0:
        return problem(CHECK, "every admin token has expired, so nobody can manage tokens", CREATE)
    return warning(CHECK, f"the last admin token expires in {longest} days", CREATE)
