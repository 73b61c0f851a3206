"""`maybe-node forget`: deletes the node's identity."""

import os
from collections.abc import Sequence

from node.commands.options import options
from node.errors import NodeError
from node.settings import read_settings
from node.state.agent_lock import is_running


def main(arguments: Sequence[str]) -> int:
    """Delete the identity file. Raises NodeError while the agent runs."""
    options("forget", "Delete this node's identity; its next start waits for enrolment.").parse_args(arguments)
    settings = read_settings(os.environ)
    if is_running(settings):
        raise NodeError("the agent is running; stop it first")
    settings.identity_file.unlink(missing_ok=True)
    settings.nonce_file.unlink(missing_ok=True)
    settings.files.manual_move_file.unlink(missing_ok=True)
    return 0
