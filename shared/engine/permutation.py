"""Random IPv6 addresses of exits: a keyed permutation of (proxy, counter) over the host bits of a prefix.

The key holder can find the proxy and connection of an address from the address alone, without a log of connections.
Imports the standard library alone, since the workers of the built-in engine use it.
"""

import hashlib
from ipaddress import IPv6Network
from typing import NamedTuple

ROUNDS = 8
"""Rounds of a Feistel network whose halves may differ by a bit, as in NIST SP 800-38G §4.3; four make it strong."""
PROXY_BITS, COUNTER_BITS = 28, 36
"""Bits in a /64: a quarter of a billion proxies, and 68 billion connections before an address repeats."""
LONGEST_PREFIX = 112
SHORTEST_PREFIX = 32

_ADDRESS_BITS = 128


class DecodedAddress(NamedTuple):
    """Proxy id and connection number of an address, both modulo two to the power of their bits."""

    proxy: int
    counter: int


class Permutation:
    """The permutation of one prefix under one key; addresses are 128-bit numbers.

    With 64 host bits or more, proxy and counter have all their bits, and each further bit halves the chance that an
    address that was never drawn decodes to a proxy. With fewer, the proxy gets 7/16 of the bits and the counter the
    others: a /80 has 21 and 27, a /96 has 14 and 18, a /112 has 7 and 9.
    """

    def __init__(self, prefix: str, key: bytes) -> None:
        """Raises ValueError with a reason for a person."""
        try:
            network = IPv6Network(prefix)
        except ValueError as error:
            raise ValueError(f"{prefix} is not an IPv6 network") from error
        if not SHORTEST_PREFIX <= network.prefixlen <= LONGEST_PREFIX:
            raise ValueError(f"the prefix must have a length of {SHORTEST_PREFIX} to {LONGEST_PREFIX} bits")
        self._first = int(network.network_address)
        host_bits = _ADDRESS_BITS - network.prefixlen
        self._hosts = (1 << host_bits) - 1
        self.proxy_bits = min(PROXY_BITS, host_bits * 7 // 16)
        self.counter_bits = min(COUNTER_BITS, host_bits - self.proxy_bits)
        self._right_bits = host_bits - host_bits // 2
        self._masks = ((1 << host_bits // 2) - 1, (1 << self._right_bits) - 1)
        tweak = network.network_address.packed + bytes((network.prefixlen,))
        self._rounds = [hashlib.blake2s(tweak + bytes((turn,)), key=key, digest_size=8) for turn in range(ROUNDS)]

    def address(self, proxy: int, counter: int) -> int:
        """Compute the address of the proxy's connection with this number."""
        proxy &= (1 << self.proxy_bits) - 1
        counter &= (1 << self.counter_bits) - 1
        return self._first | self._mixed(proxy << self.counter_bits | counter)

    def drawn(self, address: int) -> DecodedAddress | None:
        """Decode an address; None if it is outside the prefix or was never drawn."""
        if address & ~self._hosts != self._first:
            return None
        value = self._unmixed(address & self._hosts)
        proxy, counter = value >> self.counter_bits, value & ((1 << self.counter_bits) - 1)
        return DecodedAddress(proxy, counter) if not proxy >> self.proxy_bits else None

    def _mixed(self, value: int) -> int:
        left, right = value >> self._right_bits, value & self._masks[1]
        for turn in range(ROUNDS):
            left, right = right, left ^ self._noise(turn, right)
        return left << self._right_bits | right

    def _unmixed(self, value: int) -> int:
        left, right = value >> self._right_bits, value & self._masks[1]
        for turn in reversed(range(ROUNDS)):
            left, right = right ^ self._noise(turn, left), left
        return left << self._right_bits | right

    def _noise(self, turn: int, half: int) -> int:
        """Compute the bits to mix into a half: the left one in even turns, the right one in odd turns."""
        state = self._rounds[turn].copy()
        state.update(half.to_bytes(8))
        return int.from_bytes(state.digest()) & self._masks[turn % 2]
