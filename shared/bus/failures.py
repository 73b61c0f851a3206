"""States and failures of the connection to the broker.

BusDown
└── Unroutable
UntrustedBroker
"""

from dataclasses import dataclass
from typing import Literal

from aiormq.exceptions import AMQPError, ChannelInvalidStateError

OUTSIDE_ERRORS = (AMQPError, OSError, TimeoutError, ChannelInvalidStateError)

BusState = Literal["connecting", "up", "down", "refused", "occupied", "untrusted"]
"""refused: the broker does not accept the login. occupied: another program consumes this program's own queue.

untrusted: the broker's certificate is refused. Like a refused login, no quick retry heals it.
"""


@dataclass(frozen=True, slots=True)
class AddressFailure:
    """Why the bus is not up at `endpoint` (host:port)."""

    endpoint: str
    state: BusState
    reason: str


def is_outside(error: Exception) -> bool:
    """Whether an error comes from outside. aiormq raises a bare Exception in calls that wait while we close."""
    return isinstance(error, OUTSIDE_ERRORS) or type(error) is Exception


class BusDown(Exception):
    """The broker did not confirm a message. It may have taken it nevertheless, so messages may arrive twice."""


class Unroutable(BusDown):
    """No queue is bound for the routing key of this message."""


class UntrustedBroker(Exception):
    """The broker's certificate is not trusted: another authority, another host name, or expired."""
