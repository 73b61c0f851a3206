"""The database and the master over it, as far as the protocol knows them."""

from dataclasses import dataclass, field, replace

from master.sync.report_rules import ReportDecision
from shared.messages.bodies import CONFIRMS, Report
from tests.model.rules import Row, Rows, Rules, Violation, hold_to, wanted


@dataclass(frozen=True)
class State:
    """What is committed for one node. `rows` are the wanted proxies, `versions` the last of every id that ever was.

    `purged` are ids taken away on purpose, `removals` how many by which revision; `heard` is the rev of the node's
    last stored report, `number` that report's.
    """

    revision: int = 1
    rows: Rows = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)
    purged: frozenset[int] = frozenset()
    removals: tuple[tuple[int, int], ...] = ()
    heard: int = 0
    number: int = 0
    confirmed: int = 0

    def put(self, contents: dict[int, int]) -> "State":
        """New contents for these ids, each under its next version."""
        versions = {id_: self.versions.get(id_, 0) + 1 for id_ in contents}
        rows: dict[int, Row] = {id_: (versions[id_], content) for id_, content in contents.items()}
        return replace(
            self,
            revision=self.revision + 1,
            rows=self.rows | rows,
            versions=self.versions | versions,
            purged=self.purged - contents.keys(),
        )

    def without(self, ids: frozenset[int], *, on_purpose: bool) -> "State":
        """These taken away by the API, or else lost by somebody's mistake."""
        revision = self.revision + 1
        rows = {id_: row for id_, row in self.rows.items() if id_ not in ids}
        after = replace(self, revision=revision, rows=rows)
        if not on_purpose:
            return replace(after, purged=self.purged - ids)
        count = len(self.rows.keys() & ids)
        return replace(after, purged=self.purged | ids, removals=(*self.removals, (revision, count)))

    def lifted(self, revision: int, above: int) -> "State":
        """Every version above this one, in a revision not below that one."""
        versions = {id_: max(version, above) + 1 for id_, version in self.versions.items()}
        rows = {id_: (versions[id_], content) for id_, (_, content) in self.rows.items()}
        return replace(self, revision=max(self.revision, revision) + bool(versions), rows=rows, versions=versions)

    def confirm(self) -> tuple[tuple[int, int], ...]:
        """In which revision how many were taken away on purpose since the node's last word."""
        return tuple(removal for removal in self.removals if removal[0] > self.heard)[-CONFIRMS:]


@dataclass
class Master:
    """Takes reports. `lineage` is every state that the present one came from, by revision."""

    rules: Rules
    state: State = field(default_factory=State)
    lineage: dict[int, Rows] = field(default_factory=lambda: {1: {}})
    absent: dict[int, int] = field(default_factory=dict)
    """The highest revision, in any past, at which an id was not wanted."""
    restored: bool = False
    """Then contents of a past that was taken back may be held under the versions of this one, and only a report at the
    present revision tells: no promise is made of what is confirmed of an earlier one."""
    ids: range = range(1, 45)

    def commit(self, state: State) -> None:
        self.state = state
        self.lineage[state.revision] = state.rows
        for id_ in self.ids:
            if id_ not in state.rows:
                self.absent[id_] = max(self.absent.get(id_, 0), state.revision)

    def restore(self, state: State) -> None:
        self.state, self.restored = state, True
        self.lineage = {revision: rows for revision, rows in self.lineage.items() if revision < state.revision}
        self.commit(state)

    def take(self, report: Report, seen: State, held: Rows) -> ReportDecision:
        """Answer a report by what a reader saw; `held` is what the node really had when it sent it."""
        answer = self.rules.decide(report, wanted(seen.revision, seen.rows))
        if answer.raise_to is not None or answer.renew:
            if answer.raise_to is None or self.state.revision < answer.raise_to:
                self.commit(self.state.lifted(answer.raise_to or 0, answer.above))
            return answer
        if report.number > self.state.number:
            self.check_claim(answer.confirmed, held)
            confirmed = max(answer.confirmed or 0, min(self.state.confirmed, self.state.revision))
            self.state = replace(self.state, heard=report.rev, number=report.number, confirmed=confirmed)
        return answer

    def check_claim(self, confirmed: int | None, held: Rows) -> None:
        if not confirmed or (self.restored and confirmed != self.state.revision):
            return
        if confirmed not in self.lineage:
            raise Violation(f"revision {confirmed} is confirmed and never was")
        for id_ in held.keys() | self.lineage[confirmed].keys():
            since = (rows.get(id_) for revision, rows in self.lineage.items() if revision >= confirmed)
            hold_to("what is confirmed is so, or is something later", held.get(id_) in since)
