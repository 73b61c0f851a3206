"""The protocol as a whole: the real decisions of both sides, over a network and a database that misbehave."""

import random
from copy import deepcopy
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from master.rounds import Wanted, answer
from node.local_copy import LocalCopy, on_list, on_records
from shared.messages import CheckSync, Header, Report, SyncItem, assemble
from shared.proxies import content_digest, digest

IDS = range(1, 7)


@dataclass
class Base:
    """The database: what is wanted of one node; contents tell apart what versions do not."""

    revision: int = 1
    rows: dict[int, tuple[int, int]] = field(default_factory=dict)
    removed: list[int] = field(default_factory=list)

    def wanted(self) -> Wanted:
        return Wanted(
            revision=self.revision,
            digest=digest((id_, version) for id_, (version, _) in self.rows.items()),
            content=content_digest(content for _, content in self.rows.values()),
        )


@dataclass(frozen=True)
class Message:
    """A list (pairs, one part of two) or records, as they were read from the database at `rev`."""

    kind: str
    rev: int
    rows: tuple[tuple[int, int, int], ...]
    round: str = ""
    part: int = 1
    confirm: int = 0


class World:
    """One node, its database and every message ever sent."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.base, self.copy, self.assemblies = Base(), LocalCopy(), {}
        self.backups: list[Base] = []
        self.network: list[Message] = []
        self.rounds = 0
        self.restored = False
        self.high: dict[int, int] = {}
        self.content = 0

    def header(self, message: Message) -> Header:
        parts = 2 if message.kind == "list" else 1
        return Header(
            v=1, cluster="c", node=1, rev=message.rev, part=message.part, parts=parts, confirm=message.confirm
        )

    def change(self) -> None:
        base, id_ = self.base, self.dice.choice(IDS)
        self.content += 1
        base.revision += 1
        if id_ in base.rows and self.dice.random() < 0.5:
            del base.rows[id_]
            base.removed.append(base.revision)
        else:
            version = base.rows.get(id_, (self.high.get(id_, 0) if not self.restored else 0, 0))[0] + 1
            base.rows[id_] = (version, self.content)
            self.high[id_] = max(self.high.get(id_, 0), version)

    def backup(self) -> None:
        self.backups.append(deepcopy(self.base))

    def restore(self) -> None:
        if self.backups:
            self.base, self.restored = deepcopy(self.dice.choice(self.backups)), True

    def send_list(self) -> None:
        self.rounds += 1
        rows = [(id_, version, content) for id_, (version, content) in self.base.rows.items()]
        confirm = len(self.base.removed)
        for part, half in ((1, rows[: len(rows) // 2]), (2, rows[len(rows) // 2 :])):
            self.network.append(
                Message("list", self.base.revision, tuple(half), f"r{self.rounds}", part=part, confirm=confirm)
            )

    def send_records(self, ids: list[int]) -> None:
        rows = tuple((id_, *self.base.rows[id_]) for id_ in ids if id_ in self.base.rows)
        if rows:
            self.network.append(Message("records", self.base.revision, rows))
        if len(rows) < len(ids):
            self.send_list()

    def deliver(self, message: Message) -> None:
        before = deepcopy(self.copy)
        header = self.header(message)
        if message.kind == "records":
            self.copy.take(on_records(self.copy, header, [item(*row) for row in message.rows]))
        else:
            part = CheckSync(pairs=tuple((id_, version) for id_, version, _ in message.rows))
            self.assemblies, pairs = assemble(self.assemblies, message.round, header, part)
            if pairs is not None:
                self.copy.take(on_list(self.copy, header, pairs))
        self.check(before)

    def check(self, before: LocalCopy) -> None:
        copy = self.copy
        assert copy.rev >= before.rev
        assert copy.seen >= max(before.seen, copy.rev)
        assert copy.holdings.keys() <= copy.wanted.keys()
        if not self.restored:
            for id_, holding in copy.holdings.items():
                assert id_ not in before.holdings or holding.version >= before.holdings[id_].version

    def report(self) -> None:
        copy = self.copy
        dig, content = copy.digests()
        report = Report(
            rev=copy.rev,
            seen=copy.seen,
            top=copy.top,
            digest=dig,
            content=content,
            count=len(copy.holdings),
            running=0,
            missing=len(copy.missing()),
            held=copy.held,
        )
        verdict = answer(report, self.base.wanted())
        if verdict.raise_to is not None or verdict.renew:
            self.base.revision = max(self.base.revision, verdict.raise_to or 0) + 1
            for id_, (version, content_) in self.base.rows.items():
                self.base.rows[id_] = (max(version, verdict.above) + 1, content_)
            self.send_list()
        elif verdict.check:
            self.send_list()
        if verdict.confirmed == self.base.revision:
            assert self.is_settled(), "confirmed what is not so"
        if copy.missing():
            self.send_records(copy.missing())

    def is_settled(self) -> bool:
        held = {id_: (holding.version, holding.content) for id_, holding in self.copy.holdings.items()}
        return held == self.base.rows and self.copy.rev == self.base.revision

    def fair_round(self) -> None:
        """A report, its answer and what follows from that, each delivered once and in order."""
        for _ in range(3):
            self.network.clear()
            self.report()
            for message in list(self.network):
                self.deliver(message)


def item(id_: int, version: int, content: int) -> SyncItem:
    raw = {"id": id_, "version": version, "content": content, "protocol": "http", "port": 20000 + id_}
    return SyncItem(id=id_, version=version, content=content, raw={**raw, "username": "u", "password": "p"})


STEPS = ["change", "change", "list", "records", "deliver", "deliver", "deliver", "report", "backup", "restore", "crash"]


def run(seed: int, steps: list[str]) -> World:
    world = World(seed)
    for step in steps:
        match step:
            case "change":
                world.change()
            case "list":
                world.send_list()
            case "records":
                world.send_records(world.copy.missing())
            case "deliver" if world.network:
                world.deliver(world.dice.choice(world.network))
            case "report":
                world.report()
            case "backup":
                world.backup()
            case "restore":
                world.restore()
            case "crash":
                world.assemblies = {}
            case _:
                pass
    return world


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(STEPS), max_size=80))
def test_whatever_is_lost_doubled_or_late_the_node_ends_at_what_the_database_wants(seed: int, steps: list[str]):
    world = run(seed, steps)
    world.fair_round()
    world.fair_round()
    assert world.is_settled()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from([s for s in STEPS if s not in ("backup", "restore")])))
def test_a_proxy_that_was_wanted_all_along_is_never_stopped(seed: int, steps: list[str]):
    world = World(seed)
    world.base.rows[99] = (1, -1)
    world.send_list()
    for message in list(world.network):
        world.deliver(message)
    world.send_records([99])
    world.deliver(world.network[-1])
    for step in steps:
        if step == "deliver":
            world.deliver(world.dice.choice(world.network))
        else:
            getattr(world, {"list": "send_list"}.get(step, step), lambda: world.send_records(world.copy.missing()))()
        assert 99 in world.copy.holdings


def test_a_round_of_a_future_that_was_taken_back_does_not_stand_in_the_way():
    world = run(0, ["backup", "change", "report", "deliver", "restore"])
    world.fair_round()
    assert world.is_settled()


def test_a_lost_node_state_is_rebuilt_from_nothing():
    world = run(1, ["change"] * 20)
    world.copy = LocalCopy()
    world.fair_round()
    assert world.is_settled()
