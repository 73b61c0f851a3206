"""Parts of messages, good ones and bad ones, out of which hostile bytes are put together."""

from base64 import b64encode

LOGIN = b"Basic " + b64encode(b"alice:wonder")
TRAP = b"trap.invalid"
TRAPPED = b"GET /trapped HTTP/1.1\r\nHost: " + TRAP + b"\r\n\r\n"

SPECIAL = [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"\x0b", b"\x7f", b"\x80", b"\xff", b"\r\n\r\n"]
METHODS = [
    b"GET",
    b"POST",
    b"PUT",
    b"HEAD",
    b"OPTIONS",
    b"TRACE",
    b"DELETE",
    b"get",
    b"M-SEARCH",
    b"G ET",
    b"",
    b"\x05",
]
VERSIONS = [b"HTTP/1.1"] * 8 + [
    b"HTTP/1.0",
    b"HTTP/1.9",
    b"HTTP/2.0",
    b"HTTP/0.9",
    b"http/1.1",
    b"HTTP/1.1 ",
    b"HTTP/11",
    b"",
]
PATHS = [
    b"",
    b"/",
    b"/a?b=c",
    b"?x",
    b"/%00%0d%0a",
    b"/\xc3\xa9",
    b"//x@y/",
    b"/a#b",
    b"/a b",
    b"/\t",
    b"/" + b"a" * 300,
]
NAMES = [
    b"Content-Length",
    b"Transfer-Encoding",
    b"Connection",
    b"Proxy-Connection",
    b"Host",
    b"Upgrade",
    b"TE",
    b"Trailer",
]
NAMES += [
    b"Expect",
    b"Keep-Alive",
    b"X",
    b"content-length",
    b"Transfer_Encoding",
    b"X Y",
    b"",
    b" X",
    b"Content-Length ",
    b"\xe9",
]
VALUES = [
    b"chunked",
    b"close",
    b"keep-alive",
    b"Content-Length",
    b"Transfer-Encoding, Host",
    b"Upgrade",
    b"websocket",
    b"h2c",
]
VALUES += [
    b"0",
    b"5",
    b"05",
    b"5,5",
    b"+5",
    b"-1",
    b"0x5",
    b"5 ",
    b"9" * 18,
    b"9" * 19,
    b"identity",
    b"chunked, chunked",
    b"",
]
VALUES += [
    b"gzip, chunked",
    b"100-continue",
    b"a\r\n b",
    b"a\nb: c",
    b"a\rb: c",
    b"\x0bchunked",
    b"\xff",
    b"x" * 200,
    b"\0",
    TRAP,
]
HARMLESS = [
    b"X: y",
    b"Connection: keep-alive",
    b"Connection: X",
    b"X:",
    b"x:\ty\t",
    b"TE: trailers",
    b"X: \xff",
    b"Expect: 100-continue",
]
SIZES = [
    b"%x",
    b"%X",
    b"0%x",
    b"%x;a=b",
    b'%x;a="\t\xff"',
    b"%x ",
    b"0x%x",
    b"+%x",
    b"-%x",
    b"%x\0",
    b" %x",
    b"%x;\r",
    b"0000000000000000%x",
]
ENDS = [b"\r\n"] * 12 + [b"\n", b"\r", b"", b"\r\r\n"]
LAST = [b"0\r\n\r\n"] * 6 + [
    b"0\r\nX: y\r\n\r\n",
    b"0\r\nContent-Length: 5\r\n\r\n",
    b"0\n\n",
    b"0\r\n y: z\r\n\r\n",
    b"00\r\n\r\n",
    b"0\r\n",
    b"",
]
STATUSES = [b"HTTP/1.1 200 OK"] * 5 + [
    b"HTTP/1.1 200",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 204 No",
    b"HTTP/1.1 304 Not",
    b"HTTP/1.1 100 Continue",
]
STATUSES += [
    b"HTTP/1.1 103 Early",
    b"HTTP/1.1 101 Switch",
    b"HTTP/1.1 099 x",
    b"HTTP/1.1 1000 x",
    b"HTTP/2 200",
    b"ICY 200 OK",
    b"\0",
]
