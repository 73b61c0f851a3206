"""Turns of a worker's proxies, without sockets or a clock that matters."""

import pytest

from node.engine.builtin.net import fair_queue
from node.engine.builtin.net.fair_queue import FairQueue

A, B = "proxy A", "proxy B"


class Course:
    """Records what is served."""

    def __init__(self) -> None:
        self.served: list[object] = []
        self.turns: FairQueue[str] = FairQueue(
            lambda fd, mask: self.served.append((fd, mask)), lambda stage, work: (self.served.append(stage), work())[1]
        )

    def run(self, most: int = 100) -> list[object]:
        while self.turns.queues and most:
            self.turns.serve_next()
            most -= 1
        return self.served


@pytest.fixture
def course(monkeypatch: pytest.MonkeyPatch) -> Course:
    """Each slice is one piece of work."""
    monkeypatch.setattr(fair_queue, "SLICE_S", 0.0)
    return Course()


def test_proxies_take_turns_whatever_the_length_of_their_queues(course: Course) -> None:
    for fd in range(4):
        course.turns.add_event(A, fd, 1)
    course.turns.add_event(B, 9, 1)
    assert course.run() == [(0, 1), (9, 1), (1, 1), (2, 1), (3, 1)]


def test_work_that_leaves_more_goes_behind_the_other_connections_of_its_proxy(course: Course) -> None:
    def again() -> None:
        course.turns.add_work(A, "greedy", lambda: None)

    course.turns.add_work(A, "greedy", again)
    course.turns.add_event(A, 3, 1)
    assert course.run() == ["greedy", (3, 1), "greedy"]


def test_a_slice_of_time_serves_several_pieces_of_one_proxy() -> None:
    course = Course()
    for fd in range(3):
        course.turns.add_event(A, fd, 1)
    assert len(course.run(most=1)) == 3


def test_events_of_one_descriptor_are_served_once_and_together(course: Course) -> None:
    course.turns.add_event(A, 5, 1)
    course.turns.add_event(A, 5, 16)
    assert course.run() == [(5, 17)]


def test_nothing_is_served_for_a_descriptor_that_was_closed(course: Course) -> None:
    course.turns.add_event(A, 5, 1)
    course.turns.forget(5)
    course.turns.forget(6)
    assert course.run() == []
    assert not course.turns.queues


def test_a_proxy_that_never_finishes_leaves_every_second_turn_to_the_other(course: Course) -> None:
    def endless() -> None:
        course.turns.add_work(A, "endless", endless)

    course.turns.add_work(A, "endless", endless)
    for fd in range(3):
        course.turns.add_event(B, fd, 1)
    assert course.run(most=6) == ["endless", (0, 1), "endless", (1, 1), "endless", (2, 1)]
