"""How a command ends: errors that an operator can act on become lines and an exit code."""

import sys
from collections.abc import Callable, Iterator

from node.errors import NodeConfigurationError, NodeError

FAILED = 1
MISCONFIGURED = 2


def reported(act: Callable[[], int]) -> int:
    """Run a command and return its exit code. Errors of the node are printed, any other error is raised."""
    code = 0
    try:
        code = act()
    except* NodeError as group:
        for error in lines(group):
            print(f"maybe-node: {error}", file=sys.stderr)
            code = max(code, MISCONFIGURED if isinstance(error, NodeConfigurationError) else FAILED)
    return code


def lines(group: ExceptionGroup[NodeError]) -> Iterator[NodeError]:
    """Yield the errors in nested groups, and one for each setting."""
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from lines(error)
        elif isinstance(error, NodeConfigurationError):
            yield from error.errors()
        else:
            yield error
