"""What the master makes of a report. Pure."""

from dataclasses import dataclass

from shared.messages import Report


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What the database wants of a node at its revision: checksums over (id, version) and over the contents."""

    revision: int
    digest: str
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
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


def answer(report: Report, wanted: Wanted) -> Answer:
    """Compare a node's word with what the database wants of it.

    A node that has all the right records at the right revision, and yet misses some or holds a list back, follows a
    list of a past that was taken back.
    """
    if report.seen > wanted.revision:
        return Answer(raise_to=report.seen + 1, above=report.top)
    same_list = report.rev == wanted.revision and report.digest == wanted.digest
    if same_list and report.content != wanted.content:
        return Answer(renew=True, above=report.top)
    misled = report.missing > 0 or report.held is not None
    settled = report.starting == 0 and not misled
    told_otherwise = report.rev == wanted.revision and not same_list
    confirmed = report.rev if settled and not told_otherwise else None
    return Answer(check=not same_list or misled or report.connected, confirmed=confirmed)
