"""The decisions under test, as one value, so that a version of them that lacks a rule can take their place."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from master.sync import inbox, report_rules
from node.reconcile import plan as reconcile
from node.reconcile import progress
from node.reconcile.plan import FailedStart, Running
from node.state import local_copy
from node.state.local_copy import LocalCopy
from shared.messages import assembly
from shared.messages.bodies import Header, Report, SyncItem
from shared.proxies import content_digest, digest

Row = tuple[int, int]
"""Version and content of a proxy."""
Rows = dict[int, Row]


class Violation(AssertionError):
    """A promise of the protocol that did not hold."""


def hold_to(promise: str, kept: object) -> None:
    """Raises Violation unless it is kept."""
    if not kept:
        raise Violation(promise)


@dataclass(frozen=True)
class Rules:
    """Every pure decision of the protocol; by default the real ones."""

    on_list: Callable = local_copy.on_list
    on_records: Callable = local_copy.on_records
    assemble: Callable = assembly.assemble
    decide: Callable = report_rules.decide
    plan: Callable = reconcile.plan
    adopted: Callable = reconcile.adopted
    sender: Callable = inbox.sender
    progress: Callable = progress.Progress


@lru_cache(maxsize=100_000)
def header(rev: int, part: int = 1, parts: int = 1, confirm: tuple[tuple[int, int], ...] = ()) -> Header:
    return Header(v=1, cluster="c", node=1, rev=rev, part=part, parts=parts, confirm=confirm)


@lru_cache(maxsize=100_000)
def item(id_: int, version: int, content: int) -> SyncItem:
    """A record as it travels; one whose content is divisible by 7 cannot be read by this node."""
    raw = {"id": id_, "version": version, "content": content, "protocol": "http", "username": "u", "password": "p"}
    port = 99_999 if is_unreadable(content) else 20_000 + id_
    return SyncItem(id=id_, version=version, content=content, raw={**raw, "port": port})


def is_unreadable(content: int) -> bool:
    return content % 7 == 0


def wanted(revision: int, rows: Rows) -> report_rules.DesiredState:
    """What the master compares a report with."""
    return report_rules.DesiredState(
        revision=revision,
        digest=digest((id_, version) for id_, (version, _) in rows.items()),
        content=content_digest(content for _, content in rows.values()),
    )


def report(
    copy: LocalCopy,
    running: dict[int, Running],
    *,
    done: int,
    connected: bool = False,
    number: int = 0,
) -> Report:
    """What the agent would say."""
    digest_, content = copy.digests()
    return Report(
        rev=copy.rev,
        seen=copy.seen,
        top=copy.top,
        digest=digest_,
        content=content,
        count=len(copy.proxies),
        running=len(running),
        missing=len(copy.missing()),
        done=done,
        held=copy.held,
        connected=connected,
        number=number,
    )


def is_untried(stored: local_copy.StoredProxy, running: dict[int, Running], troubles: dict[int, FailedStart]) -> bool:
    """The reconciler's own rule."""
    runs, trouble = running.get(stored.id), troubles.get(stored.id)
    return (
        stored.record is not None
        and (runs is None or not runs.runs(stored))
        and (trouble is None or trouble.version != stored.version)
    )


def held_rows(copy: LocalCopy) -> Rows:
    return {id_: (stored.version, stored.content) for id_, stored in copy.proxies.items()}


def twin(copy: LocalCopy) -> LocalCopy:
    """The same copy, apart from what happens to the other."""
    return LocalCopy(
        rev=copy.rev,
        seen=copy.seen,
        top=copy.top,
        wanted=dict(copy.wanted),
        proxies=dict(copy.proxies),
        held=copy.held,
    )
