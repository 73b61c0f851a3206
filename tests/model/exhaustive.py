"""Every short history: whatever was ever committed may reach the node at any moment, any number of times, in any order.

A world is {what was ever committed, what is committed now, the node}. From each, every message of every committed state
may come, a person may change or restore the database, the node may lose its state, a report may be answered. A node and
a message make the same node each time, so such steps are computed once, by the real decisions.
"""

from collections import deque
from dataclasses import dataclass, field

from node.reconcile.plan import Running, World
from node.state.local_copy import LocalCopy
from shared.messages.assembly import Assemblies
from shared.messages.bodies import CheckSync
from tests.model.database import State
from tests.model.rules import Rules, header, held_rows, hold_to, item, report, twin, wanted

IDS = (1, 2)
CONTENTS = (1, 2, 3, 4, 6, 8, 9, 11, 12, 13, 16, 17, 18, 19, 22, 23)
"""None of them unreadable or broken."""

Message = tuple[str, int, tuple[tuple[int, int, int], ...], int]
"""Kind, revision, rows, and which part of how many: 0 is a whole one, 1 and 2 are halves."""


Runs = tuple[int, int | None]
"""Version and content of what runs."""


@dataclass(frozen=True)
class Side:
    """A node: its copy, the parts that it collects, and what its engines run; they keep up with it.

    Of what runs it knows the contents as long as it has not lost its copy.
    """

    copy: LocalCopy
    assemblies: Assemblies
    runs: dict[int, Runs]

    def key(self) -> tuple[object, ...]:
        copy = self.copy
        return (
            copy.rev, copy.seen, copy.top, tuple(sorted(copy.wanted.items())),
            tuple(sorted((h.id, h.version, h.content, h.rec_rev) for h in copy.holdings.values())),
            frozenset(self.runs.items()),
            tuple((round_, tuple(sorted(some.got))) for round_, some in self.assemblies.items()),
        )  # fmt: skip


def messages_of(revision: int, rows: tuple[tuple[int, int, int], ...], split: bool) -> tuple[Message, ...]:
    records = tuple(("records", revision, (row,), 0) for row in rows)
    if not split or len(rows) < 2:
        return (*records, ("list", revision, rows, 0))
    return (*records, *(("list", revision, rows, part) for part in (1, 2)))


@dataclass
class Search:
    """`changes` are the commits that people make; the master's own, to heal, come besides."""

    rules: Rules
    changes: int
    split: bool = False
    sides: list[Side] = field(default_factory=list)
    side_of: dict[object, int] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)
    state_of: dict[object, int] = field(default_factory=dict)
    letters: list[Message] = field(default_factory=list)
    sent: dict[int, tuple[int, ...]] = field(default_factory=dict)
    steps: list[dict[int, tuple[int, frozenset[int], bool]]] = field(default_factory=list)
    lost: dict[int, tuple[int, ...]] = field(default_factory=dict)
    settled: set[tuple[int, int]] = field(default_factory=set)
    verdicts: dict[tuple[int, int], tuple[int, int | None]] = field(default_factory=dict)

    def run(self, most: int = 10**9) -> int:
        """How many distinct worlds there are, at most about so many. Raises Violation."""
        first = (frozenset([self.state(State())]), 0, False, self.side(Side(LocalCopy(), {}, {})))
        seen, todo = {first}, deque([first])
        while todo and len(seen) < most:
            for world in self.after(*todo.popleft()):
                if world not in seen:
                    seen.add(world)
                    todo.append(world)
        return len(seen)

    def after(self, ever: frozenset[int], now: int, restored: bool, side: int):
        """Every world that one step makes of this one."""
        self.settle(side, now)
        for state in ever:
            for letter in self.messages(state):
                next_, stopped, fell = self.step(side, letter)
                hold_to("an applied version never falls", restored or not fell)
                if stopped:
                    self.check_stopped(stopped, ever, side)
                yield ever, now, restored, next_
            if state != now:
                yield ever, state, True, side
        for state in self.people(ever, now):
            yield ever | {state}, state, restored, side
        healed, confirmed = self.verdict(side, now)
        if confirmed and not restored:
            self.check_confirmed(confirmed, ever, side)
        if healed != now and len(ever) <= self.changes + 1:
            yield ever | {healed}, healed, restored, side
        for lost in self.lose(side):
            yield ever, now, restored, lost

    def lose(self, side: int) -> tuple[int, ...]:
        """The node without its copy, and without its engines too."""
        known = self.lost.get(side)
        if known is None:
            left = ({id_: (version, None) for id_, (version, _) in self.sides[side].runs.items()}, {})
            known = self.lost[side] = tuple(self.side(Side(LocalCopy(), {}, runs)) for runs in left)
        return known

    def people(self, ever: frozenset[int], now: int):
        if len(ever) > self.changes:
            return
        state, content = self.states[now], CONTENTS[len(ever)]
        for id_ in IDS:
            yield self.state(state.put({id_: content}))
            if id_ in state.rows:
                yield self.state(state.without(frozenset([id_]), on_purpose=True))

    def step(self, side: int, letter: int) -> tuple[int, frozenset[int], bool]:
        """The node after the message of this number, what it stopped, and whether a version fell."""
        known = self.steps[side].get(letter)
        if known is None:
            message = self.letters[letter]
            known = self.steps[side][letter] = self.decide(side, message)
            if not message[3]:
                hold_to("the same message twice is the same as once", self.step(known[0], letter)[0] == known[0])
        return known

    def decide(self, number: int, message: Message) -> tuple[int, frozenset[int], bool]:
        side, (kind, rev, rows, part) = self.sides[number], message
        copy, assemblies = twin(side.copy), side.assemblies
        if kind == "records":
            copy.take(self.rules.on_records(copy, header(rev), [item(*row) for row in rows]))
        else:
            head = header(rev, part or 1, 2 if part else 1)
            some = CheckSync(pairs=tuple((id_, version) for id_, version, _ in (rows[part - 1 :: 2] if part else rows)))
            assemblies, pairs = self.rules.assemble(assemblies, f"{rev} {rows}", head, some)
            if pairs is not None:
                copy.take(self.rules.on_list(copy, head, pairs))
                if rev >= side.copy.rev:
                    hold_to("a list that counts is taken", copy.wanted == {row[0]: row[1] for row in rows})
        return self.check(side.copy, copy, assemblies, side.runs)

    def check(self, before: LocalCopy, after: LocalCopy, assemblies: Assemblies, runs: dict[int, Runs]):
        hold_to("the rev never falls", after.rev >= before.rev)
        hold_to("the highest seen never falls", after.seen >= max(before.seen, after.rev) and after.top >= before.top)
        hold_to("what is applied is wanted", after.holdings.keys() <= after.wanted.keys())
        stopped = frozenset(before.holdings.keys() - after.holdings.keys())
        both = before.holdings.keys() & after.holdings.keys()
        fell = any(after.holdings[id_].version < before.holdings[id_].version for id_ in both)
        return self.side(Side(after, assemblies, self.reconciled(after, runs))), stopped, fell

    def reconciled(self, copy: LocalCopy, runs: dict[int, Runs]) -> dict[int, Runs]:
        running = {
            id_: Running(version=version, engine="builtin", content=content, port=20_000 + id_)
            for id_, (version, content) in runs.items()
        }
        todo = self.rules.plan(copy, World(running=running), IDS)
        left = {id_: run for id_, run in runs.items() if id_ not in todo.stop}
        after = left | {record.id: (record.version, record.content) for record in todo.start}
        hold_to("what is held runs", all(after[h.id] == (h.version, h.content) for h in copy.holdings.values()))
        hold_to("what is not wanted does not run", not copy.rev or after.keys() <= copy.wanted.keys())
        hold_to("an empty copy stops nothing", copy.rev or left == runs)
        return after

    def check_stopped(self, stopped: frozenset[int], ever: frozenset[int], side: int) -> None:
        since = [self.states[state] for state in ever if self.states[state].revision >= self.sides[side].copy.rev]
        for id_ in stopped:
            hold_to("nothing is stopped that was wanted all along", any(id_ not in state.rows for state in since))

    def check_confirmed(self, confirmed: int, ever: frozenset[int], side: int) -> None:
        """Before any restore: afterwards a revision does not name one state."""
        state = next(self.states[state] for state in ever if self.states[state].revision == confirmed)
        hold_to("what is confirmed is so", held_rows(self.sides[side].copy) == state.rows)

    def verdict(self, side: int, now: int) -> tuple[int, int | None]:
        """What is committed after a report was answered, and what is confirmed by it."""
        known = self.verdicts.get((side, now))
        if known is None:
            known = self.verdicts[side, now] = self.answer(side, now)[:2]
        return known

    def answer(self, side: int, now: int) -> tuple[int, int | None, bool]:
        copy, state = self.sides[side].copy, self.states[now]
        answer = self.rules.decide(
            report(copy, {}, done=0 if copy.missing() else copy.rev), wanted(state.revision, state.rows)
        )
        if answer.raise_to is not None or answer.renew:
            return self.state(state.lifted(answer.raise_to or 0, answer.above)), None, True
        if answer.confirmed == state.revision:
            hold_to("what is confirmed is so", held_rows(copy) == state.rows and not copy.missing())
        return now, answer.confirmed, answer.check

    def settle(self, side: int, now: int) -> None:
        """Two fair rounds reach what the database wants, and then there is silence."""
        if (side, now) in self.settled:
            return
        self.settled.add((side, now))
        for _ in range(2):
            side, now = self.fair_round(side, now)
        copy, state = self.sides[side].copy, self.states[now]
        hold_to("the node ends at the database's list", copy.rev == state.revision and not copy.missing())
        hold_to("the node ends at the database's records", held_rows(copy) == state.rows)
        hold_to("what runs is what the database wants", self.sides[side].runs == state.rows)
        hold_to("then it is confirmed and left alone", self.answer(side, now) == (now, state.revision, False))

    def fair_round(self, side: int, now: int) -> tuple[int, int]:
        now, _, check = self.answer(side, now)
        state = self.states[now]
        if check:
            side = self.listed(side, now)
        missing = self.sides[side].copy.missing()
        for letter in self.messages(now) if missing else ():
            kind, _, rows, _ = self.letters[letter]
            if kind == "records" and rows[0][0] in missing:
                side = self.step(side, letter)[0]
        return (side if state.rows.keys() >= set(missing) else self.listed(side, now)), now

    def listed(self, side: int, now: int) -> int:
        """The node after the whole list of this state."""
        for letter in self.messages(now):
            if self.letters[letter][0] == "list":
                side = self.step(side, letter)[0]
        return side

    def messages(self, state: int) -> tuple[int, ...]:
        """Numbers of all the messages that may be made of this state."""
        known = self.sent.get(state)
        if known is None:
            revision, rows = self.states[state].revision, self.states[state].rows
            letters = messages_of(revision, tuple((id_, *rows[id_]) for id_ in sorted(rows)), self.split)
            known = self.sent[state] = tuple(range(len(self.letters), len(self.letters) + len(letters)))
            self.letters += letters
        return known

    def side(self, side: Side) -> int:
        number = self.side_of.setdefault(side.key(), len(self.sides))
        if number == len(self.sides):
            self.sides.append(side)
            self.steps.append({})
        return number

    def state(self, state: State) -> int:
        key = (state.revision, tuple(sorted(state.rows.items())), tuple(sorted(state.versions.items())))
        number = self.state_of.setdefault(key, len(self.states))
        if number == len(self.states):
            self.states.append(state)
        return number
