"""Find out who answers at the API's port, or whether the port is free."""

import errno
import socket

import httpx

from master.doctor.database import ApiState
from master.tls import trusted, unverified

ANSWER_S = 3.0


async def api_state(host: str, port: int, *, tls: bool) -> tuple[ApiState, str]:
    """Return whether a master answers there and its broker's state; else whether the port is free.

    The certificate is not verified: it names the host by which clients know it, and this asks the own host.
    """
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    scheme = "https" if tls else "http"
    url = f"{scheme}://[{reached}]:{port}" if ":" in reached else f"{scheme}://{reached}:{port}"
    trust = unverified() if tls else trusted()
    try:
        async with httpx.AsyncClient(base_url=url, timeout=ANSWER_S, verify=trust, trust_env=False) as http:
            answer = await http.get("/health/ready")
            broker = answer.json().get("broker") if answer.status_code == 200 else "unknown: its database is away"
            if answer.status_code in (200, 503) and broker:
                return "master", f"its broker is {broker}"
        return "taken", ""
    except httpx.ConnectError:
        return free_port(host, port)
    except (httpx.TransportError, ValueError, AttributeError):
        return "taken", ""


def free_port(host: str, port: int) -> tuple[ApiState, str]:
    """Try the port by binding it for a moment, without listening."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            return ("taken" if taken else "unusable"), error.strerror or type(error).__name__
    return "free", ""
