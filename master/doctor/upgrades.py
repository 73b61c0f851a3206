"""Findings about upgrades: one that stands still, and agents that are older than the master. Pure."""

from collections.abc import Mapping
from typing import Any

from shared.doctor.findings import Finding, some, warning
from shared.release.versions import BadVersion, is_older


def upgrade_findings(row: Mapping[str, Any] | None) -> list[Finding]:
    """Judge the open upgrade, if there is one: it waits for an operator, or cannot go on."""
    if row is None or (row["state"] == "running" and row["reason"] is None):
        return []
    text = f"upgrade {row['id']} to {row['version']} is {row['state']}: {row['reason'] or 'no reason is given'}"
    path = f"/upgrades/{row['id']}"
    if row["state"] == "running":
        return [warning("upgrade", text, f"correct this on the masters, or PATCH {path} with the state aborted")]
    return [warning("upgrade", text, f"GET {path} shows its nodes; PATCH it with the state running, or aborted")]


def agent_findings(agents: Mapping[str, str], own: str) -> list[Finding]:
    """Judge agents, by the node that each runs on, that are older than this program."""
    old = [f"{node} with {agent}" for node, agent in agents.items() if runs_older(agent, own)]
    if not old:
        return []
    advice = "POST /upgrades brings them to the version of this master's bundles; first with dry_run=true"
    return [warning("agents", f"older than this master {own}: node {some(old)}", advice)]


def runs_older(agent: str, own: str) -> bool:
    """Whether an agent's version is known to be older."""
    try:
        return is_older(agent, own)
    except BadVersion:
        return False
