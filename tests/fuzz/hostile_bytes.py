"""Hostile bytes for a proxy: real requests and answers put together out of good and bad parts, then damaged.

One seed is one endless sequence of messages. What a body holds looks like a request of its own, whose Host is TRAP: an
origin that ever reads it as one has been smuggled to.
"""

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.fuzz.fragments import (
    ENDS,
    HARMLESS,
    LAST,
    LOGIN,
    METHODS,
    NAMES,
    PATHS,
    SIZES,
    SPECIAL,
    STATUSES,
    TRAPPED,
    VALUES,
    VERSIONS,
)


@dataclass
class Malice:
    """`web` is the port of an origin that is spoken to in HTTP, `blind` of one that is tunnelled to."""

    seed: int
    web: int = 80
    blind: int = 81
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    def clients(self, total: int) -> Iterator[bytes]:
        """What clients send on one connection each, `total` bytes and a little more in all."""
        while total > 0:
            message = self.damaged(self.client())
            if message and not self.is_blind_talk_to_web(message):
                total -= len(message)
                yield message

    def client(self) -> bytes:
        """Before the damage."""
        kinds: list[Callable[[], bytes]] = [self.request, self.pipeline, self.connect, self.socks5, self.socks4]
        return self.dice.choices(kinds, (6, 3, 1, 3, 1))[0]()

    def is_blind_talk_to_web(self, message: bytes) -> bool:
        """Whether it may have a tunnel to the origin that counts on HTTP."""
        return struct.pack("!H", self.web) in message or (b"CONNECT" in message and b"%d" % self.web in message)

    def request(self) -> bytes:
        """One request with its body, told in one way or in several."""
        body, framing = self.body()
        target = b"http://127.0.0.1:%d%b" % (self.web, self.dice.choice(PATHS))
        return self.head(self.odd(METHODS), target, framing) + body

    def pipeline(self) -> bytes:
        return b"".join(self.request() for _ in range(self.dice.randrange(2, 4)))

    def connect(self) -> bytes:
        target = b"127.0.0.1:%d" % self.blind
        return self.head(b"CONNECT", target, []) + self.dice.choice([b"", TRAPPED, self.noise(50)])

    def head(self, method: bytes, target: bytes, fields: list[bytes]) -> bytes:
        """A request head with a login, mostly the right one."""
        dice = self.dice
        login = (
            LOGIN
            if dice.random() < 0.9
            else dice.choice([b"Basic !", b"Basic " + b"A" * 400, b"", b"Digest x", b"basic\t"])
        )
        rows = [b"Proxy-Authorization: " + login, *fields, *(self.field() for _ in range(dice.choice((0, 0, 0, 1, 2))))]
        dice.shuffle(rows)
        return b"".join(
            row + self.line_end() for row in (b"%b %b %b" % (method, target, self.odd(VERSIONS)), *rows, b"")
        )

    def field(self) -> bytes:
        """One that most messages bear, or any name with any value."""
        if self.dice.random() < 0.6:
            return self.dice.choice(HARMLESS)
        return self.dice.choice(NAMES) + self.dice.choice([b": ", b":", b" : ", b":\t"]) + self.dice.choice(VALUES)

    def body(self) -> tuple[bytes, list[bytes]]:
        """A body and the fields that tell its framing, not always rightly."""
        dice, content = self.dice, TRAPPED * self.dice.randrange(3) + self.noise(40)
        match dice.choice((0, 0, 1, 1, 1, 2, 2, 2, 3)):
            case 0:
                return b"", []
            case 1:
                return content, [b"Content-Length: %d" % (len(content) + dice.choice([0, 0, 0, 1, -1, 1000]))]
            case 2:
                return self.chunks(content), [b"Transfer-Encoding: chunked"]
            case _:
                return self.chunks(content), [b"Transfer-Encoding: chunked", b"Content-Length: %d" % len(content)]

    def chunks(self, content: bytes) -> bytes:
        """Chunked coding, strict or not."""
        size = self.odd(SIZES) % len(content)
        return (size + self.line_end() + content + self.line_end() if content else b"") + self.dice.choice(LAST)

    def socks5(self) -> bytes:
        """Greeting, login and request in one go."""
        dice = self.dice
        greeting = dice.choice([b"\5\1\2", b"\5\2\0\2", b"\5\1\0", b"\5\0", b"\5\xff" + self.noise(255), b"\5\1\x80"])
        login = dice.choice(
            [b"\1\5alice\6wonder"] * 6 + [b"\1\0\0", b"\1\xff" + b"a" * 255 + b"\xff" + b"b" * 255, b"\2\1a\1b"]
        )
        place = dice.choice(
            [
                b"\1\x7f\0\0\1",
                b"\3\x09localhost",
                b"\4" + bytes(15) + b"\1",
                b"\3\0",
                b"\3\x05a\0b\xffc",
                b"\2",
                b"\0",
                b"\3\x0b127.0.0.1\r\n",
            ]
        )
        command = dice.choice([b"\5\1\0"] * 6 + [b"\5\2\0", b"\5\3\0", b"\5\0\0", b"\5\xff\xff", b"\4\1\0"])
        port = dice.choice([struct.pack("!H", self.blind)] * 4 + [b"\0\0", b"\xff\xff", b""])
        return greeting + login + command + place + port + dice.choice([b"", TRAPPED, self.noise(30)])

    def socks4(self) -> bytes:
        """SOCKS4 and SOCKS4a."""
        dice = self.dice
        place = dice.choice([b"\x7f\0\0\1", b"\0\0\0\1", b"\0\0\0\0", b"\xff\xff\xff\xff"])
        user = dice.choice([b"alice\0", b"\0", b"alice:wonder\0", b"a" * 300 + b"\0", self.noise(20)])
        name = dice.choice([b"", b"localhost\0", b"\0", b"x" * 300 + b"\0", b"a\xffb\0"])
        return b"\4" + dice.choice([b"\1", b"\1", b"\2", b"\0"]) + struct.pack("!H", self.blind) + place + user + name

    def datagram(self) -> bytes:
        """A header of SOCKS5's UDP relay (RFC 1928 §7) and a little content."""
        dice = self.dice
        place = dice.choice(
            [b"\1\x7f\0\0\1", b"\3\x09localhost", b"\4" + bytes(15) + b"\1", b"\3\0", b"\3\xffa", b"\2"]
        )
        return dice.choice([b"\0\0\0", b"\0\0\1", b"\0\1\0"]) + place + struct.pack("!H", self.blind) + self.noise(30)

    def origin(self) -> bytes:
        """What an origin answers."""
        content, framing = self.body()
        rows = [self.odd(STATUSES), *framing, *(self.field() for _ in range(self.dice.choice((0, 0, 0, 1, 2)))), b""]
        interim = self.dice.choice([b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n"])
        return self.damaged(interim + b"".join(row + self.line_end() for row in rows) + content)

    def damaged(self, message: bytes) -> bytes:
        """Left alone, or changed in up to three places."""
        for _ in range(self.dice.choice((0, 0, 0, 0, 1, 1, 2, 3))):
            message = self.damage(message)
        return message

    def damage(self, message: bytes) -> bytes:
        """At one place."""
        dice = self.dice
        at, to = sorted(dice.randrange(len(message) + 1) for _ in range(2))
        match dice.randrange(6):
            case 0:
                return message[:at] + dice.choice(SPECIAL) + message[at:]
            case 1:
                return message[:at] + self.noise(3) + message[at + 1 :]
            case 2:
                return message[:at] + message[min(to, at + 4) :]
            case 3:
                return message[:to] + message[at:to] + message[to:]
            case 4:
                return message[:to]
            case _:
                return message.replace(dice.choice(SPECIAL), dice.choice(SPECIAL), 1)

    def noise(self, most: int) -> bytes:
        return self.dice.randbytes(self.dice.randrange(most + 1))

    def odd(self, choices: list[bytes]) -> bytes:
        """Mostly the first of them, so that one message is not wrong in every way at once."""
        return choices[0] if self.dice.random() < 0.9 else self.dice.choice(choices)

    def line_end(self) -> bytes:
        return b"\r\n" if self.dice.random() < 0.99 else self.dice.choice(ENDS)
