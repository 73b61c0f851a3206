"""Defaults of the built-in engine, shared by settings, workers and documents."""

HALF_CLOSED_S = 10
"""Time for the answer to an HTTP client that has closed its side, from then or from the last byte sent to it: the
client may have gone."""


FAILED_LOGINS = 5
"""Failed logins on one connection after which it is closed."""


VIA = "maybe-proxy"
"""Name of a proxy in Via fields (RFC 9110 §7.6.3), unless the operator sets another one or none."""
