"""What the master makes of a report. Pure."""

from dataclasses import dataclass

from shared.messages.bodies import Report

MOST_AHEAD = 10**9
"""Revisions or versions by which a database may have gone back: at a change a second, thirty years."""
MOST_EARLY_MS = 366 * 24 * 3600 * 1000
"""A node's clock may be wrong, but a session of the far future would silence all that come after it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedState:
    """What the database wants of a node at its revision: checksums over (id, version) and over the contents."""

    revision: int
    digest: str
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportDecision:
    """What a report calls for.

    `raise_to`: the database went back; its revision must become this and its versions exceed `above`. `renew`: the
    node has other contents under the same versions; all get new ones. `confirmed`: the revision at which everything
    that the node was told is done, or None while that cannot be said.
    """

    check: bool = False
    raise_to: int | None = None
    above: int = 0
    renew: bool = False
    confirmed: int | None = None


def implausible(report: Report, revision: int, now_ms: int) -> str | None:
    """Why no honest node can say this, or None. What it would do to the node's figures could not be undone."""
    if report.seen > revision + MOST_AHEAD:
        return f"it has seen revision {report.seen}, far past {revision}"
    if report.rev > report.seen:
        return f"it acts on revision {report.rev}, but has seen {report.seen} only"
    if report.session > now_ms + MOST_EARLY_MS:
        return f"its agent started at {report.session} ms, more than a year from now: is its clock wrong?"
    return None


def decide(report: Report, wanted: WantedState) -> ReportDecision:
    """Compare a node's word with what the database wants of it.

    A node that has all the right records at the right revision, and yet misses some or holds a list back, follows a
    list of a past that was taken back.
    """
    above = min(report.top, max(report.seen, wanted.revision) + MOST_AHEAD)
    if report.seen > wanted.revision:
        return ReportDecision(raise_to=report.seen + 1, above=above)
    same_list = report.rev == wanted.revision and report.digest == wanted.digest
    if same_list and report.content != wanted.content:
        return ReportDecision(renew=True, above=above)
    misled = report.missing > 0 or report.held is not None
    follows_another = report.rev == wanted.revision and same_list == misled
    confirmed = None if follows_another or report.held is not None else min(report.done, report.rev)
    return ReportDecision(check=not same_list or misled or report.connected, confirmed=confirmed)
