"""Which links to the broker count for a master, and by which a node was heard."""

from dataclasses import replace

import pytest
from pydantic import SecretStr

from master.broker_links.links import (
    BrokerLink,
    LinkState,
    counting_links,
    link_in_use,
    outdated_settings,
    present,
    target,
)
from shared.messages.bodies import BrokerReport


def link(rev: int, host: str, state: LinkState = "only", *, login: str = "u:p", ca: str | None = None) -> BrokerLink:
    scheme = "amqps" if ca else "amqp"
    return BrokerLink(
        rev=rev,
        amqp_urls=(SecretStr(f"{scheme}://{login}@{host}:5672/v"),),
        management_urls=(f"http://{host}:15672",),
        node_amqp_urls=(f"{scheme}://{host}:5672/v",),
        queues=ord(host),
        ca=ca,
        state=state,
    )


A, B, C = (link(0, host) for host in "abc")
MOVING = [replace(A, state="only"), link(1, "b", "both")]
MOVED = [replace(A, state="old"), link(1, "b", "only")]


def test_the_settings_count_until_the_broker_moves():
    assert counting_links([], A) == (A,)


def test_a_master_that_calls_the_broker_by_another_name_keeps_that_name_during_a_move():
    assert present(counting_links(MOVING, C)).amqp_urls == C.amqp_urls


def test_a_master_that_starts_with_the_new_settings_during_a_move_still_uses_both():
    assert [each.place for each in counting_links(MOVING, B)] == [A.place, B.place]


@pytest.mark.parametrize("configured", [A, B, C])
def test_the_place_to_which_the_broker_moved_counts_whatever_the_settings_name(configured: BrokerLink):
    links = counting_links(MOVED, configured)
    assert (present(links).place, target(links).rev) == (B.place, 1)


def test_the_login_of_the_settings_counts_at_the_place_that_they_name():
    rotated = link(0, "b", login="u:other%2F")
    moved = counting_links(MOVED, rotated)[1]
    assert moved.broker.login == ("u", "other/")
    assert counting_links(MOVED, A)[1].broker.login == ("u", "p")


def test_an_aborted_move_leads_back_by_the_name_that_each_master_uses():
    back = [replace(A, state="old"), link(1, "b", "only"), replace(A, rev=2, state="both")]
    links = counting_links(back, C)
    assert (target(links).rev, target(links).amqp_urls) == (2, C.amqp_urls)
    assert target(links).content == links[0].content


def test_a_report_shows_the_link_by_its_connection():
    links = counting_links(MOVING, A)
    assert link_in_use(links, links[:1], None) == 0
    assert link_in_use(links, links[1:], BrokerReport(rev=1, state="trial")) == 1
    assert link_in_use(links, links[:1], BrokerReport(rev=1, state="failed")) == 0
    assert link_in_use(links, links[:1], BrokerReport(rev=1, state="moved")) == 0


def test_the_report_names_the_link_where_only_the_authority_changes():
    links = (link(1, "a", "only", ca="system"), link(2, "a", "both", ca="system"))
    for here in (links[:1], links[1:]):
        assert link_in_use(links, here, BrokerReport(rev=1, state="moved")) == 1
        assert link_in_use(links, here, BrokerReport(rev=2, state="trial")) == 2
        assert link_in_use(links, here, BrokerReport(rev=2, state="failed")) == 1
        assert link_in_use(links, here, None) == 1


def test_a_revision_that_nobody_gave_is_not_believed():
    links = counting_links(MOVING, A)
    assert link_in_use(links, links[:1], BrokerReport(rev=9, state="moved")) == 0


def test_outdated_settings_are_named_without_a_login():
    found = outdated_settings(MOVED[1], A)
    assert found["AMQP_URL"] == "amqp://b:5672/v"
    assert set(found) == {"AMQP_URL", "RABBITMQ_MANAGEMENT_URL", "NODE_AMQP_URL"}
    assert outdated_settings(MOVED[1], B) == {}
