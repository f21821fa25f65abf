"""A bounded queue between two threads, either of which can end or fail."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class QueueCancelled(Exception):
    """The consumer has cancelled the queue."""


class FrameQueue(Generic[Item]):
    """Passes items in order from one producer to one consumer; neither can wait forever.

    A producer that ends closes the queue, with an error if it failed: the consumer still gets
    all earlier items, then the error. A consumer that ends cancels the queue: a producer that
    waits for space, or adds an item later, gets `QueueCancelled`.

    Args:
        capacity: maximum number of items; at least 1.
        drop_oldest: a full queue drops its oldest item for a new one instead of blocking the
            producer.

    Attributes:
        dropped: number of items dropped for newer ones.

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
        """Add an item; wait for space unless the queue drops items.

        Raises:
            QueueCancelled: the consumer has ended.
            RuntimeError: the queue is closed.
        """
        with self._changed:
            if self._closed:
                raise RuntimeError("put into a closed queue")
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
        """Whether the consumer has cancelled the queue."""
        return self._cancelled

    def get(self) -> Item | None:
        """The next item, waiting for it; None after the last one, and when it is cancelled.

        Raises:
            BaseException: the error that the producer closed the queue with.
        """
        items = self.get_up_to(1)
        return items[0] if items else None

    def get_up_to(self, limit: int) -> list[Item]:
        """The next items, at least one and at most ``limit``, waiting for the first.

        Returns:
            An empty list at the end.

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
        """End the queue; ``error`` is the reason if this is not the regular end."""
        with self._changed:
            if not self._closed:
                self._closed, self._error = True, error
            self._changed.notify_all()

    def cancel(self) -> None:
        """Accept no more items, and discard those in the queue."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()
