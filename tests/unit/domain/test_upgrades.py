"""Upgrades by their pure decisions: what a node's reports mean, who is asked, and when it stops."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.domain.upgrades.following import (
    FAILED,
    SETTLED,
    UNDER_WAY,
    ReportedUpgrade,
    SeenNode,
    UpgradeNode,
    UpgradePlan,
    follow,
)
from master.domain.upgrades.schemas import UpgradeNodeState
from master.domain.upgrades.steps import RESTORED, UpgradeStep, new_request, next_step
from shared.proxies import MAX_BIGINT

NOW = datetime(2026, 5, 1, 10, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
PLAN = UpgradePlan(version="0.2.0", min_upgradable_from="0.1.0", canary=1, batch_size=2, soak=2 * MINUTE, most_failed=0)


def seen(agent: str = "0.1.0", **more: Any) -> SeenNode:
    upgrade = ReportedUpgrade(able=True, request=None, state="", reason="")
    return SeenNode(
        **{"online": True, "reported_at": NOW, "session": 1, "failed": 0, "upgrade": upgrade} | more, agent=agent
    )


def node(id_: int = 1, **more: Any) -> UpgradeNode:
    given_: dict[str, Any] = {"name": f"node-{id_}", "from_version": "0.1.0", "at": NOW, "seen": seen()}
    return UpgradeNode(**given_ | more, node_id=id_, place=id_)


def asked(**more: Any) -> UpgradeNode:
    given_ = {"state": "asked", "request": 7, "asked_at": NOW, "sent_at": NOW, "deadline": NOW + 2 * MINUTE}
    return node(**given_ | more)


def reports(state: str, reason: str = "", request: int | None = 7) -> ReportedUpgrade:
    return ReportedUpgrade(able=True, request=request, state=state, reason=reason)


@pytest.mark.parametrize(
    ("report", "state", "reason"),
    [
        (seen(), "waiting", None),
        (seen("0.2.0"), "done", "it ran 0.2.0 before it was asked"),
        (seen(online=False), "unreachable", "it is offline; it is asked when it returns"),
        (seen(online=False, upgrade=None), "unreachable", "it is offline; it is asked when it returns"),
        (seen(pinned="0.1.0"), "skipped", "it is pinned to 0.1.0"),
        (seen(pinned="0.2.0"), "waiting", None),
        (seen(leaving=True), "skipped", "it is being removed"),
        (seen("0.3.0"), "skipped", "it runs 0.3.0, which is newer"),
        (seen("0.0.9"), "skipped", "it runs 0.0.9, and 0.2.0 takes over from 0.1.0 or later only"),
        (seen("weird"), "skipped", "its version 'weird' cannot be compared with 0.2.0"),
        (seen(upgrade=None), "skipped", "its agent 0.1.0 knows no upgrades: upgrade it by the install line"),
    ],
)
def test_a_node_that_was_not_asked_is_placed_by_what_it_is(report: SeenNode, state: str, reason: str | None):
    found = follow(node(seen=report), PLAN, NOW)
    assert (found.state, found.reason) == (state, reason)


def test_a_node_that_cannot_upgrade_itself_is_skipped():
    found = follow(node(seen=seen(upgrade=replace(reports(""), able=False))), PLAN, NOW)
    assert found.state == "skipped"
    assert found.reason is not None
    assert "upgrade it by hand" in found.reason


def test_a_newer_node_goes_back_only_when_that_is_wanted():
    assert follow(node(seen=seen("0.3.0")), replace(PLAN, downgrade=True), NOW).state == "waiting"


@pytest.mark.parametrize(
    ("report", "state", "reason"),
    [
        (seen(), "asked", None),
        (seen(upgrade=reports("fetching")), "fetching", None),
        (seen(upgrade=reports("verifying")), "fetching", None),
        (seen(upgrade=reports("a_state_of_tomorrow")), "fetching", None),
        (seen(upgrade=reports("restarting")), "restarting", None),
        (seen("0.2.0", upgrade=reports("checking")), "restarting", None),
        (seen("0.2.0", upgrade=reports("done")), "soaking", None),
        (seen("0.2.0", upgrade=None), "soaking", None),
        (seen(upgrade=reports("rolled_back", "no proxy accepts")), "rolled_back", "no proxy accepts"),
        (seen(upgrade=reports("refused", "wrong key")), "failed", "it refused: wrong key"),
        (seen(upgrade=reports("done")), "failed", "it reports to be done, but runs 0.1.0"),
        (seen(upgrade=reports("rolled_back", "of before", request=6)), "asked", None),
    ],
)
def test_the_state_of_a_node_follows_from_its_report_alone(report: SeenNode, state: str, reason: str | None):
    found = follow(asked(seen=report), PLAN, NOW + SECOND)
    assert (found.state, found.reason) == (state, reason)


def test_a_host_that_took_over_is_asked_again():
    fetching = asked(state="fetching", deadline=NOW + MINUTE, seen=seen(upgrade=reports("", request=None)))
    found = follow(fetching, PLAN, NOW + SECOND)
    assert (found.state, found.sent_at, found.request) == ("asked", None, 7)


@pytest.mark.parametrize("state", ["asked", "fetching", "restarting"])
def test_a_node_that_reports_no_progress_fails_at_the_deadline_and_no_earlier(state: UpgradeNodeState):
    under_way = asked(state=state, deadline=NOW + MINUTE, seen=seen(reported_at=NOW + 61 * SECOND, upgrade=None))
    assert follow(under_way, PLAN, NOW + 59 * SECOND) == under_way
    found = follow(under_way, PLAN, NOW + 62 * SECOND)
    assert (found.state, found.reason) == ("failed", f"it reports no progress while it was {state}")


def test_a_node_that_goes_silent_is_waited_for_until_it_counts_as_offline():
    silent = asked(state="restarting", seen=seen(upgrade=reports("restarting")))
    assert follow(silent, PLAN, NOW + 3 * MINUTE).state == "restarting"
    gone = replace(silent, seen=seen(online=False, upgrade=reports("restarting")))
    found = follow(gone, PLAN, NOW + 3 * MINUTE)
    assert (found.state, found.reason) == ("failed", "it went silent while it was restarting")


def test_a_node_that_failed_by_its_silence_and_returns_at_the_version_soaks():
    late = asked(state="failed", seen=seen("0.2.0", upgrade=reports("done")))
    assert follow(late, PLAN, NOW).state == "soaking"


def soaking(**more: Any) -> UpgradeNode:
    given_ = {"state": "soaking", "soak_until": NOW + 2 * MINUTE, "soak_limit": NOW + 9 * MINUTE, "session": 1}
    return asked(**given_ | {"deadline": None, "seen": seen("0.2.0", upgrade=reports("done"))} | more)


def at_end(**more: Any) -> SeenNode:
    return seen(**{"agent": "0.2.0", "reported_at": NOW + 2 * MINUTE, "upgrade": reports("done")} | more)


@pytest.mark.parametrize(
    ("report", "state", "reason"),
    [
        (at_end(), "done", None),
        (at_end(reported_at=NOW + MINUTE), "soaking", None),
        (at_end(online=False), "failed", "it went silent while it soaked"),
        (at_end(failed=3), "failed", "3 of its proxies fail, 0 did before"),
        (at_end(agent="0.1.0"), "rolled_back", "it runs 0.1.0 again"),
        (at_end(agent="0.1.0", upgrade=reports("rolled_back", "it crashed")), "rolled_back", "it crashed"),
    ],
)
def test_a_node_is_judged_at_the_end_of_its_soak(report: SeenNode, state: str, reason: str | None):
    found = follow(soaking(seen=report), PLAN, NOW + 2 * MINUTE + SECOND)
    assert (found.state, found.reason) == (state, reason)


def test_an_agent_that_starts_again_soaks_again_but_not_without_end():
    again = follow(soaking(seen=at_end(session=2)), PLAN, NOW + 2 * MINUTE)
    assert (again.state, again.soak_until, again.session) == ("soaking", NOW + 4 * MINUTE, 2)
    found = follow(soaking(seen=at_end(session=3)), PLAN, NOW + 9 * MINUTE)
    assert (found.state, found.reason) == ("failed", "its agent started again and again while it soaked")


def test_a_removed_node_is_skipped_and_holds_nothing_up():
    found = follow(asked(seen=None), PLAN, NOW)
    assert (found.state, found.reason) == ("skipped", "the node was removed")


def step(nodes: Sequence[UpgradeNode], plan: UpgradePlan = PLAN, after: timedelta = SECOND, **more: Any) -> UpgradeStep:
    return next_step(nodes, plan, NOW, NOW + after, **more)


def test_the_canary_goes_first_and_alone():
    found = step([node(1), node(2), node(3)])
    assert [one.state for one in found.nodes] == ["asked", "waiting", "waiting"]
    assert [one.node_id for one in found.send] == [1]


def test_the_others_follow_in_batches_when_the_canary_is_done():
    found = step([asked(state="done", deadline=None), *(node(id_) for id_ in (2, 3, 4))])
    assert [one.state for one in found.nodes] == ["done", "asked", "asked", "waiting"]


def test_a_canary_that_cannot_be_reached_is_replaced_by_the_next_node():
    found = step([node(1, seen=seen(online=False)), node(2), node(3)])
    assert [one.state for one in found.nodes] == ["unreachable", "asked", "waiting"]


def test_one_failure_too_many_halts_the_upgrade_with_the_reason():
    bad = asked(seen=seen(upgrade=reports("rolled_back", "port 20000 does not accept")))
    found = step([bad, node(2)])
    assert (found.state, found.send) == ("halted", [])
    assert found.reason == "1 node failed, and most_failed is 0: node 1 (node-1): port 20000 does not accept"
    assert step([bad, node(2)], replace(PLAN, most_failed=1)).state == "running"
    assert step([bad, node(2)], replace(PLAN, forgiven=1)).state == "running"


@pytest.mark.parametrize("state", ["paused", "halted", "aborted"])
def test_nobody_is_asked_or_sent_anything_by_an_upgrade_that_is_not_running(state: Any):
    found = step([asked(sent_at=NOW - MINUTE), node(2)], replace(PLAN, state=state))
    assert (found.state, list(found.send)) == (state, [])
    assert [one.state for one in found.nodes] == ["asked", "waiting"]


def test_a_request_is_repeated_under_the_same_id_until_a_report_names_it():
    assert list(step([asked()]).send) == []
    [again] = step([asked()], after=16 * SECOND).send
    assert again.request == 7
    assert list(step([asked(seen=seen(upgrade=reports("fetching")))], after=16 * SECOND).send) == []


def test_an_offline_node_is_asked_when_it_returns_even_after_the_rest_is_done():
    away = node(2, state="unreachable", seen=seen(online=False))
    first = asked(state="done", deadline=None)
    assert step([first, away]).state == "running"
    assert step([first, away], after=25 * SECOND).state == "running"
    late = next_step([first, away], PLAN, NOW + 2 * MINUTE, NOW + 2 * MINUTE)
    assert late.state == "done"
    found = step([first, replace(away, seen=seen())], replace(PLAN, state="done"))
    assert [one.state for one in found.nodes] == ["done", "asked"]


def test_without_a_release_to_offer_the_rest_is_followed_and_nobody_asked():
    found = step([asked(seen=seen(upgrade=reports("fetching"))), node(2)], obstacle="no bundles")
    assert [one.state for one in found.nodes] == ["fetching", "waiting"]
    assert (found.state, found.reason, list(found.send)) == ("running", "no bundles", [])


def test_a_pause_without_a_master_fails_no_node():
    under_way = asked(state="restarting", seen=seen(online=False, upgrade=reports("restarting")))
    found = step([under_way, soaking(seen=at_end(online=False))], after=10 * MINUTE)
    assert [one.state for one in found.nodes] == ["restarting", "soaking"]


def test_an_upgrade_that_nobody_carried_on_for_an_hour_is_paused():
    found = step([node(1)], after=timedelta(hours=2))
    assert (found.state, found.reason, list(found.send)) == ("paused", RESTORED, [])


@given(st.lists(st.none() | st.integers(1, MAX_BIGINT), max_size=2))
def test_the_id_of_a_request_is_above_those_that_a_node_can_have_from_a_master(known: list[int | None]):
    own = new_request(NOW, ())
    found = new_request(NOW, known)
    assert own <= found < MAX_BIGINT
    assert all(found > one for one in known if one is not None and one < own + 10**13)


@dataclass
class Fleet:
    """Nodes that answer at random, and an upgrade over them in the database's place."""

    plan: UpgradePlan
    nodes: list[UpgradeNode]
    now: datetime = NOW
    asked: list[int] = field(default_factory=list[int])

    def turn(self, data: st.DataObject) -> None:
        before, last = {one.node_id: one for one in self.nodes}, self.now
        self.now += timedelta(seconds=data.draw(st.sampled_from([1, 5, 20])))
        self.nodes = [replace(one, seen=self.heard(one, data)) for one in self.nodes]
        found = next_step(self.nodes, self.plan, last, self.now)
        new = [one.node_id for one in found.nodes if one.request != before[one.node_id].request]
        self.asked += new
        assert found.state in ("running", "done") or not new
        self.nodes, self.plan = list(found.nodes), replace(self.plan, state=found.state)

    def heard(self, one: UpgradeNode, data: st.DataObject) -> SeenNode | None:
        kind = data.draw(st.sampled_from(["same", "same", "report", "report", "offline", "fail"]))
        if one.seen is None or kind == "same":
            return one.seen
        if kind == "offline" or one.request is None:
            return replace(one.seen, online=kind != "offline", reported_at=self.now)
        state = "rolled_back" if kind == "fail" else data.draw(st.sampled_from(["fetching", "restarting", "done"]))
        agent = "0.2.0" if state == "done" else one.seen.agent
        upgrade = ReportedUpgrade(able=True, request=one.request, state=state, reason="")
        return replace(one.seen, online=True, reported_at=self.now, agent=agent, upgrade=upgrade)

    def check(self) -> None:
        under_way = [one for one in self.nodes if one.state in UNDER_WAY]
        done = [one for one in self.nodes if one.state == "done" and one.asked_at]
        late = [one for one in under_way if one.state == "soaking"]
        assert len(under_way) - len(late) <= self.plan.batch_size
        if len(done) < self.plan.canary and not any(one.state in FAILED for one in self.nodes):
            assert len(under_way) <= self.plan.canary - len(done) + len(late)
        failed = sum(one.state in FAILED for one in self.nodes)
        assert failed <= self.plan.most_failed + self.plan.batch_size
        if self.plan.state == "done":
            assert all(one.state in (*SETTLED, *UNDER_WAY, "unreachable", "waiting") for one in self.nodes)


@given(st.data(), st.integers(0, 3), st.integers(1, 4), st.integers(0, 2), st.integers(1, 8))
def test_never_more_than_a_batch_is_under_way_and_too_many_failures_stop_everything(
    data: st.DataObject, canary: int, batch: int, most_failed: int, count: int
):
    plan = replace(PLAN, canary=canary, batch_size=batch, most_failed=most_failed, soak=10 * SECOND)
    fleet = Fleet(plan, [node(id_) for id_ in range(1, count + 1)])
    for _ in range(data.draw(st.integers(5, 40))):
        fleet.turn(data)
        fleet.check()
    assert len(fleet.asked) == len(set(fleet.asked))
