"""A node, as far as the protocol knows it: its copy, its disk, and engines of which some proxies cannot start."""

from dataclasses import dataclass, field, replace

from node.reconcile.plan import FailedStart, ObservedState, Running, failed_start
from node.reconcile.progress import Progress
from node.state.local_copy import CopyChange, LocalCopy
from shared.messages.bodies import CheckSync, Header, Report
from shared.proxies import ProxyRecord
from tests.model.rules import Row, Rows, Rules, header, held_rows, hold_to, is_untried, item, report, twin

NEVER = 1e12


@dataclass(frozen=True)
class Message:
    """A part of a list or a sync; `purged` are the ids that the database had lost on purpose (for the checks)."""

    kind: str
    rev: int
    rows: tuple[tuple[int, int, int], ...]
    round: str = ""
    part: int = 1
    parts: int = 1
    confirm: tuple[tuple[int, int], ...] = ()
    purged: frozenset[int] = frozenset()

    def header(self) -> Header:
        return header(self.rev, self.part, self.parts, self.confirm)


@dataclass
class Node:
    """`runs` is what the engines really run."""

    rules: Rules
    copy: LocalCopy = field(default_factory=LocalCopy)
    progress: Progress = field(init=False)
    assemblies: dict = field(default_factory=dict)
    disk: list[LocalCopy] = field(default_factory=lambda: [LocalCopy()])
    runs: dict[int, Row] = field(default_factory=dict)
    running: dict[int, Running] = field(default_factory=dict)
    troubles: dict[int, FailedStart] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)
    number: int = 0
    connected: bool = True

    def __post_init__(self) -> None:
        self.progress = self.rules.progress({})

    def decide(self, message: Message) -> CopyChange | None:
        """What the message does; None for a part of a list that is not whole yet."""
        if message.kind == "records":
            return self.rules.on_records(self.copy, message.header(), [item(*row) for row in message.rows])
        part = CheckSync(pairs=tuple((id_, version) for id_, version, _ in message.rows))
        self.assemblies, pairs = self.rules.assemble(self.assemblies, message.round, message.header(), part)
        return None if pairs is None else self.rules.on_list(self.copy, message.header(), pairs)

    def take(self, change: CopyChange) -> None:
        self.progress.took(change, self.copy.rev)
        self.copy.take(change)
        self.touched |= change.touched
        self.disk = [*self.disk[-4:], twin(self.copy)]

    def crash(self, *, writes_lost: int = 0, reboot: bool = False) -> None:
        """The agent ends, at worst with its host, and comes back with what is on disk; 5 lost writes lose it all."""
        self.disk = self.disk[: len(self.disk) - writes_lost] or [LocalCopy()]
        self.copy = twin(self.disk[-1])
        self.copy.held = None
        self.progress = self.rules.progress(self.copy.wanted)
        self.assemblies, self.troubles, self.connected = {}, {}, True
        if reboot:
            self.runs = {}
        proxies = self.copy.proxies
        self.running = {
            id_: self.rules.adopted(proxies.get(id_), version, "builtin", 0.0)
            for id_, (version, _) in self.runs.items()
        }
        self.touched = set(self.running) | set(self.copy.wanted)

    def reconcile(self) -> None:
        """Passes over what was touched, until what did not start has been tried in its last good form too."""
        touched = frozenset(self.touched)
        while self.touched:
            self.make_true()
        for id_ in touched & self.copy.proxies.keys():
            good = self.copy.proxies[id_].good
            hold_to("what once ran well runs while its successor cannot", good is None or id_ in self.running)
        stray = self.running.keys() - self.copy.wanted.keys()
        hold_to("what is not wanted does not run", not self.copy.rev or not touched & stray)

    def make_true(self) -> None:
        """One pass."""
        todo = self.rules.plan(
            self.copy, ObservedState(running=self.running, failed_starts=self.troubles), self.touched
        )
        for id_ in todo.stop:
            hold_to("what runs is stopped only when it is not wanted", id_ not in self.copy.wanted and self.copy.rev)
            del self.runs[id_], self.running[id_]
        for record in todo.start:
            self.start(record)
        self.troubles = {id_: trouble for id_, trouble in self.troubles.items() if id_ in self.copy.proxies}
        self.touched = {record.id for record in todo.start if record.id not in self.running}

    def start(self, record: ProxyRecord) -> None:
        if is_broken(record.content):
            self.troubles[record.id] = replace(
                failed_start(self.troubles.get(record.id), record.version, "broken", 0.0), next_at=NEVER
            )
            return
        self.runs[record.id] = (record.version, record.content)
        self.running[record.id] = Running(
            version=record.version, engine=record.engine, content=record.content, port=record.port
        )
        stored = self.copy.proxies[record.id]
        if stored.record is record:
            self.troubles.pop(record.id, None)
            self.copy.proxies[record.id] = replace(stored, good=record)

    def says(self) -> tuple[Report, Rows]:
        """A report, and what is really held at that moment."""
        self.number += 1
        done = self.progress.done(self.copy.rev, self.reached)
        said = report(self.copy, self.running, done=done, connected=self.connected, number=self.number)
        self.connected = False
        return said, held_rows(self.copy)

    def reached(self, id_: int) -> int | None:
        """The reconciler's own rule."""
        running, trouble, stored = self.running.get(id_), self.troubles.get(id_), self.copy.proxies.get(id_)
        version = max(running.version if running else 0, trouble.version if trouble else 0)
        if id_ not in self.copy.wanted:
            return None if running is None else version
        is_here = stored is not None and stored.version == self.copy.wanted[id_]
        return None if is_here and not is_untried(stored, self.running, self.troubles) else version


def is_broken(content: int) -> bool:
    """Whether a readable record cannot be started."""
    return content % 5 == 0
