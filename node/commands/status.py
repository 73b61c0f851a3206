"""`maybe-node status`: describes the node to a person or to a program."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from node.commands.options import options
from node.commands.owner import act_as_owner
from node.data_directory import DataDirectory, data_directory_of
from node.state.agent_lock import agent_pid, is_running
from node.state.status_file import AgentStatus, NoStatus, number, read_bounded, read_status, text
from shared.version import program_version

IDENTITY_LIMIT = 262_144
"""As in node.state.identity, which takes longer to import than the whole command."""
UPGRADE_MEMBERS = ("version", "from", "state", "reason", "at")


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """All that is known. `reason` is why the agent's status is unknown; `upgrade` is the last upgrade."""

    version: str
    data_dir: str
    agent: AgentStatus | None
    reason: str
    identity: Mapping[str, Any] | None
    upgrade: Mapping[str, str] | None


def main(arguments: Sequence[str]) -> int:
    """Print the description. Exits with 1 if no agent runs, or its status is unknown. Raises NodeError."""
    parser = options("status", "Describe this node. Exits with 1 if the agent's status is unknown.")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    to_program = parser.parse_args(arguments).json
    files = data_directory_of(os.environ)
    version = program_version()  # the owner of the data need not be able to read the program
    act_as_owner(files)
    found = described(files, version)
    sys.stdout.write(as_json(found) if to_program else as_text(found))
    return 0 if found.agent is not None else 1


def described(files: DataDirectory, version: str) -> Description:
    """Read all files."""
    agent, reason = None, ""
    try:
        agent = running_agent(files)
    except NoStatus as error:
        reason = str(error)
    except OSError as error:
        reason = f"{files.data_dir} cannot be read: {error.strerror}; run the command as root or as the agent's user"
    return Description(
        version=version,
        data_dir=str(files.data_dir),
        agent=agent,
        reason=reason,
        identity=identity_in(files.identity_file),
        upgrade=upgrade_in(files.data_dir.with_name(f"{files.data_dir.name}-upgrade") / "state.json"),
    )


def running_agent(files: DataDirectory) -> AgentStatus:
    """Read the status of the agent that runs. Raises NoStatus, OSError."""
    if not is_running(files):
        raise NoStatus(f"no agent runs with {files.data_dir}; start it (systemctl start maybe-node)")
    status = read_status(files.status_file)
    if status.pid != agent_pid(files):
        raise NoStatus(f"{files.status_file} is of an earlier agent; ask again in a moment")
    return status


def identity_in(path: Path) -> Mapping[str, Any] | None:
    """Read id, name and cluster of the node; None for a node that is not enrolled, or whose file cannot be read."""
    try:
        config: Any = json.loads(read_bounded(path, IDENTITY_LIMIT)[0])["config"]
        return {"node_id": number(config["node_id"]), "name": text(config["name"]), "cluster": text(config["cluster"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def upgrade_in(path: Path) -> Mapping[str, str] | None:
    """Read the last upgrade; None if there was none."""
    try:
        members: Any = json.loads(read_bounded(path)[0])
        return {name: printable(members.get(name, "")) for name in UPGRADE_MEMBERS}
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def printable(value: object) -> str:
    """Return a text that a terminal can show."""
    return "".join(letter for letter in str(value)[:300] if letter.isprintable())


def as_json(found: Description) -> str:
    """Write the description for a program. The challenge itself is secret: `maybe-node challenge` prints it."""
    members = asdict(found)
    if found.agent is not None and found.agent.challenge is not None:
        members["agent"]["challenge"].pop("challenge")
    return json.dumps(members, indent=2) + "\n"


def as_text(found: Description) -> str:
    """Write the description for a person."""
    rows = {"version": found.version, "agent": agent_line(found), "identity": identity_line(found)}
    if found.agent is not None:
        rows |= agent_rows(found.agent)
    if found.upgrade is not None:
        reason = f" ({found.upgrade['reason']})" if found.upgrade["reason"] else ""
        rows["upgrade"] = (
            f"from {found.upgrade['from']} to {found.upgrade['version']}: {found.upgrade['state']}{reason}"
        )
    return "".join(f"{name:10} {value}\n" for name, value in rows.items())


def agent_line(found: Description) -> str:
    """Describe the agent."""
    if found.agent is None:
        return found.reason
    state = "ready" if found.agent.ready else "starting"
    return f"{state}, version {found.agent.version}, pid {found.agent.pid}, since {moment(found.agent.started_at)}"


def identity_line(found: Description) -> str:
    """Describe the identity."""
    if found.identity is None:
        return "none: the node is not enrolled"
    return f"node {found.identity['node_id']} ({found.identity['name']}) of cluster {found.identity['cluster']}"


def agent_rows(agent: AgentStatus) -> dict[str, str]:
    """Describe what the agent does."""
    counts = agent.proxies
    rows = {"broker": broker_line(agent), "proxies": f"{counts.running} of {counts.wanted} run, {counts.failed} failed"}
    if agent.challenge is not None:
        until = moment(agent.challenge.expires_at)
        rows["challenge"] = f"waits until {until}; `maybe-node challenge` prints it"
    return rows


def broker_line(agent: AgentStatus) -> str:
    """Describe the connection to the broker, its address, and a move that is not complete."""
    if agent.broker is None:
        return agent.link
    use = agent.broker
    states = {
        "trial": f"; revision {use.rev}, which the master has not confirmed yet",
        "failed": f"; the move to revision {use.rev} failed: {use.reason}",
    }
    return f"{agent.link}, {use.url}{states.get(use.state, '')}"


def moment(seconds: float) -> str:
    """Write a moment."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
