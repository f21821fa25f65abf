"""A bounded queue between two threads that can end, and can fail, at either side."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class QueueCancelled(Exception):
    """The other side of the queue wants nothing more."""


class FrameQueue(Generic[Item]):
    """Items in order from one producer to one consumer; neither can wait for ever.

    A producer that ends closes the queue, with an error when it failed: the consumer still
    gets every item that came before, then the error. A consumer that ends cancels it: a
    producer that waits for room, or comes back later, gets `QueueCancelled`.

    Args:
        capacity: at most so many items wait; at least 1.
        drop_oldest: a full queue throws its oldest item away for a new one, and nobody waits for
            room.

    Attributes:
        dropped: the items that were thrown away for newer ones.

    Raises:
        ValueError: the capacity is below 1.
    """

    def __init__(self, capacity: int, drop_oldest: bool = False) -> None:
        if capacity < 1:
            raise ValueError(f"capacity: got {capacity}, expected at least 1")
        self._capacity = capacity
        self._drop_oldest = drop_oldest
        self.dropped = 0
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._cancelled = False
        self._error: BaseException | None = None

    def put(self, item: Item) -> None:
        """Add an item, waiting for room where the queue keeps all of them.

        Raises:
            QueueCancelled: the consumer has ended.
            RuntimeError: the queue was closed before.
        """
        with self._changed:
            if self._closed:
                raise RuntimeError("put into a queue that was closed")
            while len(self._items) >= self._capacity and not self._cancelled:
                if self._drop_oldest:
                    self._items.popleft()
                    self.dropped += 1
                else:
                    self._changed.wait()
            if self._cancelled:
                raise QueueCancelled
            self._items.append(item)
            self._changed.notify_all()

    @property
    def cancelled(self) -> bool:
        """Whether the consumer wants nothing more."""
        return self._cancelled

    def get(self) -> Item | None:
        """The next item, waiting for it; None after the last one, and when it is cancelled.

        Raises:
            BaseException: the error that the producer closed the queue with.
        """
        items = self.get_up_to(1)
        return items[0] if items else None

    def get_up_to(self, limit: int) -> list[Item]:
        """What waits, at most ``limit`` items, waiting for one; as `get`, none at the end.

        Raises:
            BaseException: the error that the producer closed the queue with.
        """
        with self._changed:
            while not self._items and not self._closed and not self._cancelled:
                self._changed.wait()
            if not self._items and not self._cancelled and self._error is not None:
                raise self._error
            items = [self._items.popleft() for _ in range(min(limit, len(self._items)))]
            self._changed.notify_all()
            return items

    def close(self, error: BaseException | None = None) -> None:
        """Nothing more will come; ``error`` says why when that is not the regular end."""
        with self._changed:
            if not self._closed:
                self._closed, self._error = True, error
            self._changed.notify_all()

    def cancel(self) -> None:
        """Nothing more is wanted; what waits is thrown away."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()
