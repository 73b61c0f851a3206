"""Exits with 0 if the master in this container is ready: its database answers. Imports little, since it runs often."""

import os
import socket
import ssl
import sys

LIMIT_S = 9.0


def address() -> tuple[str, int]:
    """Return where the API can be reached from inside the container."""
    host = os.environ.get("API_HOST") or "0.0.0.0"
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(os.environ.get("API_PORT") or 3005)


def opened() -> socket.socket:
    """Connect. The certificate is not verified: it names the API's public name, and the way does not leave the host."""
    plain = socket.create_connection(address(), LIMIT_S)
    if not os.environ.get("API_TLS_CERT"):
        return plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)


def is_ready() -> bool:
    """Ask the master."""
    try:
        with opened() as connection:
            connection.sendall(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.makefile("rb").readline().split()[1:2] == [b"200"]
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(not is_ready())
