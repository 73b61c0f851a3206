"""The rules for reports: which are implausible, and what the others call for. Pure."""

from dataclasses import dataclass

from shared.messages.bodies import Report

MAX_AHEAD = 10**9
"""Revisions or versions by which a database may have been rolled back: at a change a second, thirty years."""
MAX_FUTURE_MS = 366 * 24 * 3600 * 1000
"""A node's clock may be wrong, but a session in the far future would make all later ones look old."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DesiredState:
    """The desired state of a node at its revision: checksums over (id, version) and over the contents."""

    revision: int
    digest: str
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportDecision:
    """The consequences of a report.

    `raise_to`: the database was rolled back; its revision must become this, and its versions exceed `above`. `renew`:
    the node has other contents under the same versions, so all get new versions. `confirmed`: the revision up to which
    the node has done everything, or None while that is unknown.
    """

    check: bool = False
    raise_to: int | None = None
    above: int = 0
    renew: bool = False
    confirmed: int | None = None


def implausible(report: Report, revision: int, now_ms: int) -> str | None:
    """Return why no working node can report this, or None. Storing it could not be undone."""
    if report.seen > revision + MAX_AHEAD:
        return f"it has seen revision {report.seen}, far past {revision}"
    if report.rev > report.seen:
        return f"it acts on revision {report.rev}, but has seen {report.seen} only"
    if report.session > now_ms + MAX_FUTURE_MS:
        return f"its agent started at {report.session} ms, more than a year from now: is its clock wrong?"
    return None


def decide(report: Report, desired: DesiredState) -> ReportDecision:
    """Compare a report with the desired state.

    A node that has all the right records at the right revision, and yet misses some or holds a list back, follows a
    list from before a rollback of the database.
    """
    above = min(report.top, max(report.seen, desired.revision) + MAX_AHEAD)
    if report.seen > desired.revision:
        return ReportDecision(raise_to=report.seen + 1, above=above)
    same_list = report.rev == desired.revision and report.digest == desired.digest
    if same_list and report.content != desired.content:
        return ReportDecision(renew=True, above=above)
    misled = report.missing > 0 or report.held is not None
    follows_another = report.rev == desired.revision and same_list == misled
    confirmed = None if follows_another or report.held is not None else min(report.done, report.rev)
    return ReportDecision(check=not same_list or misled or report.connected, confirmed=confirmed)
