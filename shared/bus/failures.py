"""What goes wrong with the link to the broker: what the outside breaks, and what becomes of a message then.

BusDown
└── Unroutable
"""

from aiormq.exceptions import AMQPError, ChannelInvalidStateError

OUTSIDE_ERRORS = (AMQPError, OSError, TimeoutError, ChannelInvalidStateError)


def is_outside(error: Exception) -> bool:
    """Whether it is no bug of ours; what waits while we close a connection gets a bare Exception from aiormq."""
    return isinstance(error, OUTSIDE_ERRORS) or type(error) is Exception


class BusDown(Exception):
    """The broker did not take a message. It may still have: what is published must bear being doubled."""


class Unroutable(BusDown):
    """No queue is bound for this message."""
