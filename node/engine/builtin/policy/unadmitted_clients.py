"""Clients that have not been admitted yet, in order of arrival, so that the oldest can be closed."""

from typing import Generic, TypeVar

T = TypeVar("T")


class UnadmittedClients(Generic[T]):
    """Holds at most `most` clients of a worker and `most_per_proxy` of one proxy; `owner` stands for the proxy."""

    __slots__ = ("_all", "_by_owner", "most", "most_per_proxy")

    def __init__(self, most: int, most_per_proxy: int) -> None:
        self.most = most
        self.most_per_proxy = most_per_proxy
        self._all: dict[T, object] = {}
        self._by_owner: dict[object, dict[T, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def of(self, owner: object) -> int:
        """The number of unadmitted clients of one proxy."""
        return len(self._by_owner.get(owner, ()))

    def enter(self, owner: object, client: T) -> None:
        self._all[client] = owner
        queue = self._by_owner.get(owner)
        if queue is None:
            queue = self._by_owner[owner] = {}
        queue[client] = None

    def leave(self, client: T) -> None:
        """Remove a client; does nothing if it is not here."""
        owner = self._all.pop(client, None)
        queue = self._by_owner.get(owner)
        if queue is not None:
            queue.pop(client, None)
            if not queue:
                del self._by_owner[owner]

    def surplus(self, owner: object) -> T | None:
        """The client to close after one of this owner's has arrived; None while there is room.

        When the worker has too many, a proxy that holds more than its share gives up its own oldest client; one that
        holds less displaces the oldest of all.
        """
        queue = self._by_owner.get(owner)
        if queue is None:
            return None
        if len(queue) > self.most_per_proxy:
            return next(iter(queue))
        if len(self._all) <= self.most:
            return None
        return next(iter(queue if len(queue) * len(self._by_owner) > self.most else self._all))
