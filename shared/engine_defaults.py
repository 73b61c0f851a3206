"""Defaults of the built-in engine, which settings, workers and documents share."""

HALF_CLOSED_S = 10
"""For an HTTP client that has closed its side, as one does that has gone: since then, or the last byte for it."""


FAILED_LOGINS = 5
"""Logins that fail on one connection before it is closed."""


VIA = "maybe-proxy"
"""A proxy's name in Via fields, unless the operator chooses another one or none."""
