"""Runs in the guest: carries out the commands that the test sends over a virtio port, and answers each by a line.

It also runs the echo server that the streams of the tests end at, and measures when the proxies accept after a boot.
"""

import json
import os
import socket
import socketserver
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

PORT = Path("/dev/virtio-ports/control")
WATCHED = Path("/var/lib/first-accept")
"""A file with the number of a port; the moment of the first connection to it in each boot is written beside it."""
ECHO = 7


class Echo(socketserver.BaseRequestHandler):
    """Sends back what comes."""

    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    """One thread a connection."""

    allow_reuse_address = True
    daemon_threads = True


def carried_out(request: dict[str, Any]) -> dict[str, Any]:
    """Run a command. Its output is text."""
    try:
        done = subprocess.run(
            request["command"],
            input=request["input"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=request["limit_s"],
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return {"id": request["id"], "code": -1, "stdout": str(error.stdout), "stderr": f"{error.stderr}\n{error}"}
    except OSError as error:
        return {"id": request["id"], "code": -1, "stdout": "", "stderr": str(error)}
    return {"id": request["id"], "code": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


def measure() -> None:
    """Note the monotonic time, in microseconds as systemd counts, at which the watched port accepted."""
    port = int(WATCHED.read_text())
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    Path("/run/first-accept").write_text(str(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000))


def main() -> None:
    threading.Thread(target=Server(("127.0.0.1", ECHO), Echo).serve_forever, daemon=True).start()
    if WATCHED.exists():
        threading.Thread(target=measure, daemon=True).start()
    while not PORT.exists():
        time.sleep(0.2)
    port = os.open(PORT, os.O_RDWR)
    with open(os.dup(port), "rb") as requests, open(port, "wb") as answers:
        while True:
            line = requests.readline()
            if not line:  # nobody is connected
                time.sleep(0.2)
                continue
            answers.write(json.dumps(carried_out(json.loads(line))).encode() + b"\n")
            answers.flush()


main()
