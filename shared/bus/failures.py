"""Failures of the connection to the broker.

BusDown
└── Unroutable
UntrustedBroker
"""

from aiormq.exceptions import AMQPError, ChannelInvalidStateError

OUTSIDE_ERRORS = (AMQPError, OSError, TimeoutError, ChannelInvalidStateError)


def is_outside(error: Exception) -> bool:
    """Whether an error comes from outside. aiormq raises a bare Exception in calls that wait while we close."""
    return isinstance(error, OUTSIDE_ERRORS) or type(error) is Exception


class BusDown(Exception):
    """The broker did not confirm a message. It may have taken it nevertheless, so messages may arrive twice."""


class Unroutable(BusDown):
    """No queue is bound for the routing key of this message."""


class UntrustedBroker(Exception):
    """The broker's certificate is not trusted: another authority, another host name, or expired."""
