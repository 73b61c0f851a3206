"""Echo server of every node with the built-in engine, for checks of its proxies."""

ECHO_HOST = "check.maybe-proxy.internal"
"""A name that no resolver knows. The engine connects it to its own HTTP server, which returns the client's address."""
