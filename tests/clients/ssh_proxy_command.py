"""A ProxyCommand for ssh: a tunnel by CONNECT between standard input and output.

    python tests/connect.py PROXY_HOST:PORT USER:PASSWORD HOST:PORT

Tests use it where no such program is installed; a password among the arguments is for tests only.
"""

import base64
import os
import socket
import sys
import threading


def main() -> None:
    proxy, login, target = sys.argv[1:]
    host, _, port = proxy.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as tunnel:
        basic = base64.b64encode(login.encode()).decode()
        tunnel.sendall(
            f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Basic {basic}\r\n\r\n".encode()
        )
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += tunnel.recv(1)
        if b" 200" not in answer[:13]:
            sys.exit(answer.decode(errors="replace"))
        tunnel.settimeout(None)
        threading.Thread(target=send, args=(tunnel,), daemon=True).start()
        while data := tunnel.recv(65536):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


def send(tunnel: socket.socket) -> None:
    """What comes in, until it ends."""
    while data := os.read(0, 65536):
        tunnel.sendall(data)
    tunnel.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main()
