"""`maybe-node whois ADDRESS`: finds the proxy that used a random IPv6 exit address, from the address alone."""

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from node.commands.options import options
from node.doctor.local_copy import inspect_copy
from node.engine.builtin.net.exit_counter import CounterKey, drawn_so_far, noted_keys
from node.errors import NodeError
from node.settings import Settings, read_settings
from node.state.agent_lock import is_running
from shared.engine.permutation import Permutation


def main(arguments: Sequence[str]) -> int:
    """Print which proxy used an exit address. Raises NodeError."""
    parser = options("whois", "Name the proxy that used a random IPv6 exit address.")
    parser.add_argument("address", metavar="ADDRESS", help="the address to look up")
    text = parser.parse_args(arguments).address
    for trace in whois(read_settings(os.environ), text):
        print(trace)
    return 0


@dataclass(frozen=True, slots=True)
class Trace:
    """The user of an address: connection `number` of one of `proxies`, the ids in the local copy that match.

    The address holds only part of a proxy's id: the remainder (`rest`) of its division by `modulus`. When `proxies` is
    empty, the proxy was deleted, and the remainder is all that is known of its id.
    """

    prefix: str
    number: int
    proxies: tuple[int, ...]
    rest: int
    modulus: int

    def __str__(self) -> str:
        names = " or ".join(map(str, self.proxies))
        deleted = f"a deleted proxy, with id {self.rest} plus a multiple of {self.modulus}"
        return f"{f'proxy {names}' if names else deleted} (connection {self.number} from {self.prefix})"


def whois(settings: Settings, text: str) -> list[Trace]:
    """Find the users of an address. Blocks. Raises NodeError for text that is no address, or one never used here."""
    try:
        address = ip_address(text)
    except ValueError as error:
        raise NodeError(f"{text!r} is not an IP address") from error
    engine = settings.builtin_dir
    copy = inspect_copy(settings.copy_file, live=is_running(settings))
    try:
        keys = dict.fromkeys([*noted_keys(engine), *copy.exit_keys])
        found = traces(address, keys, copy.exits, drawn_so_far(engine)) if isinstance(address, IPv6Address) else []
    except OSError as error:
        raise NodeError(f"{error.filename} cannot be read: {error.strerror}") from error
    if not found:
        raise NodeError(f"no proxy of this node used {address} (searched the keys of {len(keys)} prefixes)")
    return found


def traces(address: IPv6Address, keys: Iterable[CounterKey], known: Collection[int], drawn: int) -> list[Trace]:
    """Decode the address with each key. `known` are the ids of existing proxies; `drawn` is the first unused number.

    A small prefix leaves few numbers to tell several keys apart, so more than one trace may match.
    """
    found: list[Trace] = []
    for prefix, key in keys:
        permutation = Permutation(prefix, bytes.fromhex(key))
        decoded = permutation.drawn(int(address))
        if decoded is not None and (decoded.counter < drawn or drawn >> permutation.counter_bits):
            modulus = 1 << permutation.proxy_bits
            proxies = tuple(sorted(id_ for id_ in known if id_ % modulus == decoded.proxy))
            found.append(Trace(prefix, decoded.counter, proxies, decoded.proxy, modulus))
    return found
