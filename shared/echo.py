"""The echo that every node with the built-in engine has for checks of its proxies."""

ECHO_HOST = "check.maybe-proxy.internal"
"""A name that no resolver knows: the engine itself answers it, with an HTTP server that tells who asked."""
