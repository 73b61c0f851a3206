"""Progress of the node: the revision up to which everything in its lists is done. Pure."""

from collections.abc import Callable, Mapping

from node.state.local_copy import CopyChange

UNKNOWN_ID = 0
"""Stands for running proxies that are not wanted, until the engines have been asked for the first time."""
GONE = 0
"""Stands for the version of a proxy that must stop."""

Reached = Callable[[int], int | None]
"""Maps an id to the version that runs or was tried (0 for none), or to None when nothing is left to do for it."""


class Progress:
    """Open changes by id, each with the revision that is done without it.

    A list changes the versions of some ids; everything before that list is done without them. So the lowest of these
    earlier revisions is done, however many lists follow, and a node that always has open changes still makes progress.
    """

    def __init__(self, wanted: Mapping[int, int]) -> None:
        """See `begin`."""
        self.begin(wanted)

    def begin(self, wanted: Mapping[int, int]) -> None:
        """Count all wanted versions as open: an agent that starts does not know which of them are done."""
        self._open = {id_: [(version, 0)] for id_, version in {**wanted, UNKNOWN_ID: GONE}.items()}

    def took(self, change: CopyChange, before: int) -> None:
        """Open the changes of a list that was taken; `before` is the revision of the list before it."""
        done = min(before, change.rev - 1)
        for id_, version in (*change.want.items(), *((id_, GONE) for id_ in change.drop)):
            self._open.setdefault(id_, []).append((version, done))

    def done(self, rev: int, reached: Reached) -> int:
        """Return the revision up to which everything is done; `rev` is that of the current list."""
        for id_, changes in list(self._open.items()):
            version = reached(id_)
            if version is None:
                del self._open[id_]
            else:
                self._open[id_] = left(changes, version)
        return min((changes[0][1] for changes in self._open.values()), default=rev)

    def is_done(self, reached: Reached) -> bool:
        """Whether no change is open."""
        while self._open:
            id_ = next(iter(self._open))
            if reached(id_) is not None:
                return False
            del self._open[id_]
        return True


def left(changes: list[tuple[int, int]], version: int) -> list[tuple[int, int]]:
    """Return the (version, before) pairs that are still open, in the order of the lists. The last always is."""
    return [one for one in changes[:-1] if one[0] > version] + changes[-1:]
