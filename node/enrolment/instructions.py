"""What an operator does with a challenge: the request to the master. Pure."""

import json
from typing import Any

from node.state.status_file import WaitingChallenge
from shared.enrolment.challenge import CHALLENGE_TTL_S

USUAL_PORT = 3006


def request_body(challenge: WaitingChallenge) -> dict[str, Any]:
    """Build the body of POST /nodes."""
    body = {"ip": challenge.ip, "challenge": challenge.challenge}
    return body | ({"port": challenge.port} if challenge.port != USUAL_PORT else {})


def instructions(body: dict[str, Any]) -> str:
    """Explain to the operator how to enrol this node."""
    return (
        f"\nThis node is waiting to be enrolled. Its challenge, valid for {CHALLENGE_TTL_S // 60} minutes:\n\n"
        f"    {body['challenge']}\n\n"
        "Enrol it by this call. Replace MASTER by the address of your master, and the ip if the master reaches this\n"
        "host at another one:\n\n"
        f"    curl -X POST http://MASTER:3005/nodes -H 'Content-Type: application/json' \\\n"
        f"         -d '{json.dumps(body)}'\n"
    )
