"""Tells from a random exit address alone which proxy's connection had it: `maybe-node whois ADDRESS`."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from node.doctor.local_copy import look_at_copy
from node.engine.builtin.net.exit_counter import CounterKey, drawn_so_far, noted_keys
from node.errors import NodeError
from node.settings import Settings
from node.state.agent_lock import is_running
from shared.permutation import Permutation


@dataclass(frozen=True, slots=True)
class Trace:
    """Whose an address was: `number` counts connections, `proxies` are those of the local copy that can be meant.

    When there are none the proxy is gone; then all that is known of its id is that it leaves `rest` when divided by
    `modulus`.
    """

    prefix: str
    number: int
    proxies: tuple[int, ...]
    rest: int
    modulus: int

    def __str__(self) -> str:
        names = " or ".join(map(str, self.proxies))
        gone = f"a proxy that is gone, of id {self.rest} or that and a multiple of {self.modulus}"
        return f"{f'proxy {names}' if names else gone} (connection {self.number} out of {self.prefix})"


def whois(settings: Settings, text: str) -> list[Trace]:
    """Blocks for a moment. Raises NodeError when it is no address, or one that this node never drew."""
    try:
        address = ip_address(text)
    except ValueError as error:
        raise NodeError(f"{text} is no IP address") from error
    engine = settings.builtin_dir
    copy = look_at_copy(settings.copy_file, live=is_running(settings))
    try:
        keys = dict.fromkeys([*noted_keys(engine), *copy.exit_keys])
        found = traces(address, keys, copy.exits, drawn_so_far(engine)) if isinstance(address, IPv6Address) else []
    except OSError as error:
        raise NodeError(f"{error.filename} cannot be read: {error.strerror}") from error
    if not found:
        raise NodeError(f"no proxy of this node drew {address}: its keys know {len(keys)} prefixes")
    return found


def traces(address: IPv6Address, keys: Iterable[CounterKey], known: Collection[int], drawn: int) -> list[Trace]:
    """`known`: the ids of proxies that may be meant; `drawn`: numbers from here on were not used yet.

    More than one when several keys were used on a small prefix, which leaves few numbers to tell them apart by.
    """
    found: list[Trace] = []
    for prefix, key in keys:
        permutation = Permutation(prefix, bytes.fromhex(key))
        told = permutation.drawn(int(address))
        if told is not None and (told.counter < drawn or drawn >> permutation.counter_bits):
            modulus = 1 << permutation.proxy_bits
            proxies = tuple(sorted(id_ for id_ in known if id_ % modulus == told.proxy))
            found.append(Trace(prefix, told.counter, proxies, told.proxy, modulus))
    return found
