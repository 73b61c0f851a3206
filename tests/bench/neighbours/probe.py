"""A customer of the other proxy, run as a process with an origin of its own.

One new connection after the other, each with a login, one request and its answer. A line for each: when it began, and
how many milliseconds it took; 10000 for one that failed. It ends with its standard input.
"""

import base64
import json
import select
import socket
import sys
import threading
import time

FAILED_MS = 10_000.0
PATIENCE_S = 10.0
PAUSE_S = 0.005
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def answer(listener: socket.socket) -> None:
    while True:
        peer, _ = listener.accept()
        with peer:
            if peer.recv(65_536):
                peer.sendall(OK)


def took_ms(host: str, port: int, request: bytes) -> float:
    began, heard = time.perf_counter(), b""
    try:
        with socket.create_connection((host, port), PATIENCE_S) as client:
            client.sendall(request)
            while data := client.recv(4096):
                heard += data
    except OSError:
        return FAILED_MS
    return (time.perf_counter() - began) * 1000 if heard.startswith(b"HTTP/1.1 200") else FAILED_MS


def main() -> None:
    told = json.loads(sys.argv[1])
    token = base64.b64encode(f"{told['username']}:{told['password']}".encode()).decode()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        request = f"GET {url} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {token}\r\nConnection: close\r\n\r\n"
        while not select.select([sys.stdin], (), (), PAUSE_S)[0]:
            began = time.monotonic()
            print(began, took_ms(told["host"], told["port"], request.encode()), flush=True)


if __name__ == "__main__":
    main()
