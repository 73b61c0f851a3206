"""The trust of the master's HTTP clients."""

import ssl
from functools import cache

import httpx


@cache
def trusted() -> ssl.SSLContext:
    """The certificate authorities of httpx. Reading them takes 35 ms, also for a client that only ever uses http://, so
    all clients of a process share them."""
    return httpx.create_ssl_context(trust_env=False)


@cache
def unverified() -> ssl.SSLContext:
    """Trust any certificate, for a question to the own host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
