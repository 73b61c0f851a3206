"""`maybe-node doctor`: examines this node and its host."""

import asyncio
import os
from collections.abc import Sequence

from node.commands.options import options
from node.doctor.examination import findings
from shared.doctor.examination import print_findings
from shared.logs import configure


def main(arguments: Sequence[str]) -> int:
    """Print the doctor's findings and return the exit code."""
    parser = options("doctor", "Examine this node and its host, and change nothing.")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    to_program = parser.parse_args(arguments).json
    configure("error")
    return print_findings(asyncio.run(findings(os.environ)), to_program=to_program)
