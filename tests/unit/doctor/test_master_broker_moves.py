"""What the doctor finds about a move of the broker."""

from typing import Any

import pytest

from master.doctor.broker_moves import move_findings
from master.domain.broker_links.schemas import FORMER, LINK, MOVE, BrokerOverview


def shown(**more: Any) -> BrokerOverview:
    return BrokerOverview.model_validate(
        {"link": FORMER, "move": None, "left": None, "outdated_settings": list[Any](), **more}
    )


def test_a_broker_that_stays_where_it_is_is_fine():
    assert [finding.level for finding in move_findings(shown())] == ["ok"]


def test_nodes_that_have_not_moved_are_named_with_the_reason():
    (found,) = move_findings(shown(move=MOVE))
    assert found.level == "warning"
    assert "1 of 3 nodes" in found.text
    assert "brave-otter (broker-2.example.net:5671: no connection within 30 s)" in found.text


def test_a_master_that_is_not_at_the_new_place_holds_the_move_up():
    away = {**MOVE, "masters": [{"id": "a", "host": "master-2", "is_up": False}]}
    assert "master-2" in next(each.text for each in move_findings(shown(move=away)) if each.level == "problem")


def test_a_move_that_all_nodes_have_made_waits_for_its_end():
    nodes = {"total": 3, "moved": 3, "trial": 0, "failed": 0}
    (found,) = move_findings(shown(move={**MOVE, "nodes": nodes, "missing": list[Any]()}))
    assert "finish" in found.advice


@pytest.mark.parametrize("name", ["AMQP_URL", "AMQP_CA_FILE"])
def test_settings_that_lead_elsewhere_are_named_with_their_right_values(name: str):
    (found,) = move_findings(shown(link=LINK, outdated_settings=[{"name": name, "value": "amqps://b/"}]))
    assert f"{name}=amqps://b/" in found.advice


def test_logins_that_were_left_behind_are_named():
    left = {"rev": 0, "amqp_urls": ["amqp://old/"], "state": "closed", "left_over": "it does not answer"}
    assert "amqp://old/" in move_findings(shown(left=left))[0].text
