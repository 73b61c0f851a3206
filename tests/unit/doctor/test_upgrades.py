"""What the master's doctor makes of upgrades."""

from typing import Any

import pytest

from master.doctor.upgrades import agent_findings, upgrade_findings

UPGRADE: dict[str, Any] = {"id": 3, "version": "0.2.0", "state": "halted", "reason": "1 node failed"}


def test_a_halted_upgrade_is_named_with_its_reason_and_how_it_goes_on():
    [found] = upgrade_findings(UPGRADE)
    assert (found.level, found.text) == ("warning", "upgrade 3 to 0.2.0 is halted: 1 node failed")
    assert "/upgrades/3" in found.advice


@pytest.mark.parametrize("row", [None, {**UPGRADE, "state": "running", "reason": None}])
def test_an_upgrade_that_goes_on_needs_nobody(row: dict[str, Any] | None):
    assert upgrade_findings(row) == []


def test_an_upgrade_that_no_master_can_offer_is_named():
    [found] = upgrade_findings({**UPGRADE, "state": "running", "reason": "this master has no bundles"})
    assert "this master has no bundles" in found.text


def test_agents_older_than_the_master_are_named():
    agents = {"1 (owl)": "0.1.0", "2 (fox)": "0.2.0", "3 (elk)": "", "4 (emu)": "0.10.0"}
    [found] = agent_findings(agents, "0.2.0")
    assert found.text == "older than this master 0.2.0: node 1 (owl) with 0.1.0"
    assert agent_findings(agents, "0.1.0") == []
