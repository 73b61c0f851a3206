"""Up to which revision the node has done what its lists said. Pure."""

from collections.abc import Callable, Mapping

from node.state.local_copy import CopyChange

NOBODY = 0
"""Stands for what the engines run and nobody wants, until they have been asked for the first time."""
GONE = 0
"""The version of a proxy that is to stop."""

Reached = Callable[[int], int | None]
"""For an id the version that runs or was tried, 0 for none; None once nothing is left to do for the id."""


class Progress:
    """Which ids still have something to do, and the revision that counts as done as long as they have.

    A list asks for versions of some ids, and everything before it is done without them. So the lowest "before" of what
    is left to do is done, however many lists follow: a node that always has something to do confirms all the same.
    """

    def __init__(self, wanted: Mapping[int, int]) -> None:
        """As `begin`."""
        self.begin(wanted)

    def begin(self, wanted: Mapping[int, int]) -> None:
        """`wanted`: the version of each id in the last list; what of it is done is not known when an agent starts."""
        self._open = {id_: [(version, 0)] for id_, version in {**wanted, NOBODY: GONE}.items()}

    def took(self, change: CopyChange, before: int) -> None:
        """The change was taken; `before` is the revision of the list that was acted on until then."""
        done = min(before, change.rev - 1)
        for id_, version in (*change.want.items(), *((id_, GONE) for id_ in change.drop)):
            self._open.setdefault(id_, []).append((version, done))

    def done(self, rev: int, reached: Reached) -> int:
        """The revision up to which everything is done; `rev` is that of the list that is acted on."""
        for id_, asked in list(self._open.items()):
            version = reached(id_)
            if version is None:
                del self._open[id_]
            else:
                self._open[id_] = left(asked, version)
        return min((asked[0][1] for asked in self._open.values()), default=rev)

    def is_done(self, reached: Reached) -> bool:
        """Whether nothing is left to do."""
        while self._open:
            id_ = next(iter(self._open))
            if reached(id_) is not None:
                return False
            del self._open[id_]
        return True


def left(asked: list[tuple[int, int]], version: int) -> list[tuple[int, int]]:
    """What is left to do of (version, before) in the order of the lists; the last is, whatever runs."""
    return [one for one in asked[:-1] if one[0] > version] + asked[-1:]
