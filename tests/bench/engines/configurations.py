"""How each of the other proxies is told its work: the best of its own settings, one process, nothing logged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

MOST = 20_000
"""Connections at once, above all that is asked for here."""


@dataclass(frozen=True)
class Place:
    """Where a proxy runs: its address, two free ports, a folder of its own, the login and the origin's address."""

    host: str
    ports: tuple[int, int]
    folder: Path
    user: str
    password: str
    origin: str

    def file(self, name: str, text: str, mode: int = 0o644) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def at(self, number: int) -> str:
        return f"{self.host}:{self.ports[number]}"


@dataclass(frozen=True)
class Launch:
    """What to run, in which words it is spoken to, and what a reader of the figures should know."""

    arguments: tuple[str | Path, ...]
    http: str | None = None
    socks5: str | None = None
    relay: str | None = None
    anonymous: bool = False
    note: str = ""


@dataclass(frozen=True)
class Program:
    """A proxy that is found on PATH, or where the environment variable says."""

    name: str
    launch: Callable[[str, Place], Launch]
    origin: str
    version: tuple[str, ...] = ()
    variable: str = ""


def three_proxy(binary: str, place: Place) -> Launch:
    """The defaults of 3proxy.cfg(5) but for `maxconn`; splice is not built into it by default."""
    text = (
        f"nscache 65536\nmaxconn {MOST}\nauth strong\nusers {place.user}:CL:{place.password}\n"
        f"allow {place.user}\nnolog\ndeny *\nnolog\n"
        f"proxy -ocTCP_NODELAY -osTCP_NODELAY -i{place.host} -p{place.ports[0]}\n"
        f"socks -u2 -ocTCP_NODELAY -osTCP_NODELAY -i{place.host} -p{place.ports[1]}\n"
    )
    return Launch((binary, place.file("3proxy.cfg", text, 0o600)), http=place.at(0), socks5=place.at(1))


def tinyproxy(binary: str, place: Place) -> Launch:
    text = (
        f"Listen {place.host}\nPort {place.ports[0]}\nBasicAuth {place.user} {place.password}\nMaxClients {MOST}\n"
        f'LogLevel Critical\nTimeout 86400\nDisableViaHeader Yes\nPidFile "{place.folder}/pid"\n'
    )
    return Launch((binary, "-d", "-c", place.file("tinyproxy.conf", text)), http=place.at(0))


def squid(binary: str, place: Place) -> Launch:
    """Without a cache. Its logins are checked once and then remembered for two hours."""
    check = f'while read -r line; do [ "$line" = "{place.user} {place.password}" ] && echo OK || echo ERR; done\n'
    program = place.file("login.sh", f"#!/bin/sh\n{check}", 0o755)
    text = (
        f"http_port {place.at(0)}\nauth_param basic program {program}\nauth_param basic children 1 startup=1\n"
        "auth_param basic realm bench\nauth_param basic credentialsttl 2 hours\nacl known proxy_auth REQUIRED\n"
        "http_access allow known\nhttp_access deny all\ncache deny all\ncache_mem 8 MB\nmemory_pools off\n"
        f"access_log none\ncache_log /dev/null\ncache_store_log none\npid_filename none\nnetdb_filename none\n"
        f"pinger_enable off\nshutdown_lifetime 0 seconds\nmax_filedescriptors {MOST}\nvia off\nforwarded_for delete\n"
        f"client_persistent_connections on\nserver_persistent_connections on\ncoredump_dir {place.folder}\n"
        "visible_hostname bench\nread_timeout 1 day\nclient_lifetime 1 day\nlogfile_rotate 0\n"
    )
    return Launch((binary, "-N", "-f", place.file("squid.conf", text)), http=place.at(0))


def microsocks(binary: str, place: Place) -> Launch:
    arguments = ("-i", place.host, "-p", str(place.ports[1]), "-u", place.user, "-P", place.password)
    return Launch((binary, *arguments), socks5=place.at(1))


def dante(binary: str, place: Place) -> Launch:
    text = (
        f"internal: {place.host} port = {place.ports[1]}\nexternal: 127.0.0.1\nclientmethod: none\nsocksmethod: none\n"
        "user.privileged: root\nuser.unprivileged: nobody\n"
        "client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nsocks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n"
    )
    note = "without a login: it knows the system's own users only"
    arguments = (binary, "-f", place.file("danted.conf", text), "-p", place.folder / "danted.pid")
    return Launch(arguments, socks5=place.at(1), anonymous=True, note=note)


def haproxy(binary: str, place: Place) -> Launch:
    text = (
        f"global\n nbthread 1\n maxconn {MOST // 3}\n"
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 1d\n timeout server 1d\n option splice-auto\n"
        f"listen relay\n bind {place.at(0)}\n server origin {place.origin}\n"
    )
    note = "no forward proxy: a plain relay to the one origin, without a login"
    return Launch((binary, "-f", place.file("haproxy.cfg", text)), relay=place.at(0), anonymous=True, note=note)


PROGRAMS: Mapping[str, Program] = MappingProxyType(
    {
        program.name: program
        for program in (
            Program("3proxy", three_proxy, "name it by THREE_PROXY", ("-", "-"), "THREE_PROXY"),
            Program("tinyproxy", tinyproxy, "Debian's tinyproxy-bin", ("-v",)),
            Program("squid", squid, "Debian's squid", ("-v",)),
            Program("microsocks", microsocks, "Debian's microsocks"),
            Program("danted", dante, "Debian's dante-server", ("-v",)),
            Program("haproxy", haproxy, "Debian's haproxy", ("-v",)),
        )
    }
)
