"""`maybe-node challenge`: prints the challenge that waits to be answered, and how to enrol the node with it."""

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from node.commands.options import options
from node.commands.owner import act_as_owner
from node.data_directory import DataDirectory, data_directory_of
from node.enrolment.instructions import instructions, request_body
from node.errors import NodeError
from node.state.agent_lock import is_running
from node.state.status_file import NoStatus, WaitingChallenge, read_status


def main(arguments: Sequence[str]) -> int:
    """Print the challenge. Exits with 1 if none waits. Raises NodeError."""
    parser = options(
        "challenge", "Print the challenge that waits, and how to enrol the node. Exits with 1 if none waits."
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON, with the body of POST /nodes")
    to_program = parser.parse_args(arguments).json
    files = data_directory_of(os.environ)
    act_as_owner(files)
    challenge = waiting_challenge(files)
    sys.stdout.write(as_json(challenge) if to_program else instructions(request_body(challenge)))
    return 0


def waiting_challenge(files: DataDirectory) -> WaitingChallenge:
    """Return the challenge. Raises NodeError, which says why there is none."""
    try:
        if not is_running(files):
            raise NodeError(f"no agent runs with {files.data_dir}; start it, then it draws a challenge")
        challenge = read_status(files.status_file).challenge
    except NoStatus as error:
        raise NodeError(str(error)) from error
    except OSError as error:
        raise NodeError(f"{files.data_dir} cannot be read: {error.strerror}; run the command as root") from error
    if challenge is None:
        known = (
            "this node is enrolled; `maybe-node forget` would make it wait again"
            if files.identity_file.exists()
            else ""
        )
        raise NodeError(known or "the agent is still starting; ask again in a moment")
    return challenge


def as_json(challenge: WaitingChallenge) -> str:
    """Write the challenge for a program."""
    expires_at = datetime.fromtimestamp(challenge.expires_at, UTC).isoformat()
    members = {"challenge": challenge.challenge, "expires_at": expires_at, "body": request_body(challenge)}
    return json.dumps(members, indent=2) + "\n"
