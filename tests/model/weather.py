"""Long random histories: everything that a network, a disk and a database may do to the protocol, in any order."""

import random
from copy import deepcopy

from node.state.local_copy import GUARD_FLOOR, CopyChange, LocalCopy
from shared.messages.bodies import AGREED, Report
from tests.model.database import Master, State
from tests.model.node import Message, Node, is_broken
from tests.model.rules import Rows, Rules, held_rows, hold_to, is_unreadable, twin

QUEUE = 16
"""Messages that wait at most; the oldest is dropped for a new one."""
KEPT = 60
"""Old messages that may come again."""

STEPS = {
    "deliver": 40, "hear": 14, "change": 12, "ask": 8, "tell": 8, "report": 8, "lag": 3, "lose": 2, "again": 6,
    "stack": 1, "purge": 0.7, "accident": 0.25, "agree": 0.1, "backup": 0.5, "restore": 0.15, "crash": 0.6,
    "lost_writes": 0.2, "reboot": 0.3, "reconcile": 20,
}  # fmt: skip
"""How often each comes, relative to the others."""


class History:
    """One node, its master and everything in flight between them."""

    def __init__(self, rules: Rules, seed: int, steps: dict[str, float] = STEPS) -> None:
        self.dice = random.Random(seed)
        self.rules, self.names, self.weights = rules, list(steps), list(steps.values())
        self.master, self.node = Master(rules), Node(rules)
        self.backups, self.past = [State()], [State()]
        self.queue: list[Message] = []
        self.ever: list[Message] = []
        self.to_master: list[tuple[Report, Rows] | list[int]] = []
        self.rounds = self.content = 0
        self.restored = False
        self.best: dict[int, int] = {}

    def run(self, steps: int) -> None:
        """Raises Violation."""
        for name in self.dice.choices(self.names, self.weights, k=steps):
            getattr(self, name)()

    # what people do to the database

    def change(self) -> None:
        state, id_ = self.master.state, self.dice.choice(self.master.ids)
        if id_ in state.rows and self.dice.random() < 0.4:
            self.commit(state.without(frozenset([id_]), on_purpose=True))
        else:
            self.commit(state.put({id_: self.new_content()}))

    def stack(self) -> None:
        self.commit(self.master.state.put({id_: self.new_content() for id_ in self.some(self.master.ids, 30)}))

    def purge(self) -> None:
        self.commit(self.master.state.without(self.some(self.master.state.rows, 30), on_purpose=True))

    def accident(self) -> None:
        self.commit(self.master.state.without(self.some(self.master.state.rows, 44), on_purpose=False))

    def agree(self) -> None:
        """Somebody says that the list, as it is, is on purpose."""
        self.send_list(self.master.state, confirm=AGREED)

    def backup(self) -> None:
        self.backups = [*self.backups[-5:], self.master.state]

    def restore(self) -> None:
        self.node.reconcile()
        self.master.restore(self.dice.choice(self.backups))
        self.restored = True

    # what the master does

    def tell(self) -> None:
        self.send_list(self.master.state)

    def lag(self) -> None:
        """A master that slept sends what it had read before."""
        state = self.dice.choice(self.past)
        if self.dice.random() < 0.5:
            self.send_list(state)
        else:
            self.send_records(state, self.node.copy.missing())

    def hear(self) -> None:
        if self.to_master:
            self.answer(self.to_master.pop(self.dice.randrange(len(self.to_master))))

    def answer(self, message: tuple[Report, Rows] | list[int]) -> None:
        before = self.master.state
        if isinstance(message, list):
            self.send_records(before, message)
            return
        answer = self.master.take(message[0], before if self.dice.random() < 0.95 else self.past[0], message[1])
        if answer.check or answer.raise_to is not None or answer.renew:
            self.send_list(self.master.state)
        hold_to(
            "a node that has just connected is told",
            answer.confirmed is None or answer.check or not message[0].connected,
        )

    def send_list(self, state: State, confirm: tuple[tuple[int, int], ...] | None = None) -> None:
        self.rounds += 1
        rows = tuple((id_, *row) for id_, row in sorted(state.rows.items()))
        parts = self.dice.choice((1, 1, 2, 3))
        for part in range(parts):
            self.send(
                Message("list", state.revision, rows[part::parts], f"r{self.rounds}", part + 1, parts,
                        state.confirm() if confirm is None else confirm, state.purged)
            )  # fmt: skip

    def send_records(self, state: State, ids: list[int]) -> None:
        rows = [(id_, *state.rows[id_]) for id_ in ids if id_ in state.rows]
        half = len(rows) // 2
        for some in (rows[:half], rows[half:]):
            if some:
                self.send(Message("records", state.revision, tuple(some)))
        if len(rows) < len(ids):
            self.send_list(state)

    # what the network does

    def send(self, message: Message) -> None:
        self.queue = [*self.queue, message][-QUEUE:]
        self.ever = [*self.ever[-KEPT:], message]

    def deliver(self) -> None:
        if self.queue:
            at = 0 if self.dice.random() < 0.8 else self.dice.randrange(len(self.queue))
            self.reach(self.queue.pop(at))

    def again(self) -> None:
        if self.ever:
            self.reach(self.dice.choice(self.ever))

    def lose(self) -> None:
        self.queue = [message for message in self.queue if self.dice.random() < 0.7]
        self.to_master = [message for message in self.to_master if self.dice.random() < 0.7]

    # what the node does

    def ask(self) -> None:
        if missing := self.node.copy.missing():
            self.to_master = [*self.to_master[-4:], missing]

    def report(self) -> None:
        self.to_master = [*self.to_master[-4:], self.node.says()]

    def reconcile(self) -> None:
        self.node.reconcile()

    def crash(self) -> None:
        self.node.crash()

    def reboot(self) -> None:
        self.node.crash(reboot=True)

    def lost_writes(self) -> None:
        """At worst all of them; what was applied before no longer binds."""
        self.node.crash(writes_lost=self.dice.randint(1, 6), reboot=self.dice.random() < 0.5)
        self.best = {id_: stored.version for id_, stored in self.node.copy.proxies.items()}
        self.node.reconcile()

    def reach(self, message: Message) -> None:
        """A message reaches the node; every promise about one message is looked at."""
        before = twin(self.node.copy)
        change = self.node.decide(message)
        if change is None:
            return
        self.node.take(change)
        after = self.node.copy
        self.check(before, message, change)
        if self.dice.random() < 0.1:
            self.check_double(message)
        if self.restored or self.dice.random() < 0.5:
            self.node.reconcile()
        hold_to("the same list is kept", after.rev >= before.rev)

    def check_double(self, message: Message) -> None:
        once, twice = twin(self.node.copy), deepcopy(self.node)
        change = twice.decide(message)
        if change is not None:
            twice.copy.take(change)
        hold_to("the same message twice is the same as once", twice.copy == once)

    def check(self, before: LocalCopy, message: Message, change: CopyChange) -> None:
        after = self.node.copy
        hold_to("the rev never falls", after.rev >= before.rev)
        hold_to("the highest seen never falls", after.seen >= max(before.seen, after.rev) and after.top >= before.top)
        hold_to("what is applied is wanted", after.proxies.keys() <= after.wanted.keys())
        stopped = before.proxies.keys() - after.proxies.keys()
        hold_to("nothing is stopped that was wanted all along",
                all(self.master.absent.get(id_, 0) >= before.rev for id_ in stopped))  # fmt: skip
        for id_, stored in after.proxies.items():
            hold_to("an applied version never falls", self.restored or stored.version >= self.best.get(id_, 0))
            self.best[id_] = stored.version
        if message.kind == "list" and message.rev >= before.rev:
            self.check_guard(before, message, change, frozenset(stopped))

    def check_guard(self, before: LocalCopy, message: Message, change: CopyChange, stopped: frozenset[int]) -> None:
        if change.verdict == "held":
            hold_to("what is held changes nothing", (before.rev, before.wanted, before.proxies) ==
                    (self.node.copy.rev, self.node.copy.wanted, self.node.copy.proxies))  # fmt: skip
            return
        if not message.rows and message.parts == 1:
            hold_to("an empty list stops everything", not self.node.copy.proxies)
        on_purpose = stopped & message.purged
        by_mistake, rest = len(stopped - on_purpose), len(before.proxies) - len(on_purpose)
        if sum(count for rev, count in message.confirm if rev > before.rev) <= len(on_purpose):
            hold_to("most is never stopped by mistake", by_mistake <= GUARD_FLOOR or by_mistake * 2 <= rest)

    # when faults stop

    def settle(self) -> None:
        """Two fair rounds, each message delivered once and in order, reach what the database wants."""
        self.fair_round()
        self.fair_round()
        copy, state = self.node.copy, self.master.state
        if copy.held is not None:
            self.check_held(copy, state)
            self.agree()
            self.drain()
            self.fair_round()
            self.fair_round()
        copy, state = self.node.copy, self.master.state
        hold_to("the node ends at the database's list", copy.rev == state.revision and not copy.missing())
        hold_to("the node ends at the database's records", held_rows(copy) == state.rows)
        for id_, row in state.rows.items():
            able = not is_broken(row[1]) and not is_unreadable(row[1])
            hold_to("what runs is what the database wants", not able or self.node.runs.get(id_) == row)
        said, held = self.node.says()
        answer = self.master.take(said, state, held)
        hold_to("a node that is where it should be is confirmed", answer.confirmed == state.revision)
        hold_to("and left alone", not answer.check)

    def check_held(self, copy: LocalCopy, state: State) -> None:
        lost = copy.proxies.keys() - state.rows.keys()
        hold_to(
            "few are never held",
            len(lost) > GUARD_FLOOR and len(lost) * 2 > len(copy.proxies) - len(lost & state.purged),
        )
        hold_to("what is on purpose is not held", self.restored or not lost <= state.purged)

    def fair_round(self) -> None:
        self.queue, self.to_master = [], []
        said, held = self.node.says()
        answer = self.master.take(said, self.master.state, held)
        if answer.check or answer.raise_to is not None or answer.renew:
            self.send_list(self.master.state)
        self.drain()
        if missing := self.node.copy.missing():
            self.send_records(self.master.state, missing)
        self.drain()

    def drain(self) -> None:
        while self.queue:
            self.reach(self.queue.pop(0))
        self.node.reconcile()

    # dice

    def commit(self, state: State) -> None:
        self.past = [*self.past[-4:], self.master.state]
        self.master.commit(state)

    def some(self, ids: object, most: int) -> frozenset[int]:
        known = sorted(ids)  # type: ignore[call-overload]
        return frozenset(self.dice.sample(known, min(len(known), self.dice.randint(1, most))))

    def new_content(self) -> int:
        self.content += 1
        return self.content


def history(rules: Rules, seed: int, steps: int) -> None:
    """Raises Violation when a promise is broken on the way or at the end."""
    one = History(rules, seed)
    for _ in range(max(1, steps // 300)):
        one.run(min(300, steps))
        deepcopy(one).settle()
    one.settle()
