"""The trust of the master's HTTP clients, and why one was refused."""

import ssl
from functools import cache

import httpx

from shared.certificates import refusal_behind


@cache
def trusted() -> ssl.SSLContext:
    """The certificate authorities of httpx. Reading them takes 35 ms, also for a client that only ever uses http://, so
    all clients of a process share them."""
    return httpx.create_ssl_context(trust_env=False)


def failure_of(error: Exception) -> str:
    """Describe why a request was not answered: a refused certificate by its reason, anything else by its type."""
    refused = refusal_behind(error)
    return f"its {refused}" if refused else type(error).__name__


@cache
def unverified() -> ssl.SSLContext:
    """Trust any certificate, for a question to the own host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
