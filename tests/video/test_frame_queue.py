"""The queue between stages: order, ends and errors, without waiting forever."""

import threading

import pytest

from detkit.video.frame_queue import FrameQueue, QueueCancelled

TIMEOUT = 10.0  # seconds; only a hang takes longer


def test_get_returns_items_in_order_then_none() -> None:
    queue: FrameQueue[int] = FrameQueue(2)
    producer = threading.Thread(target=lambda: [queue.put(n) for n in range(50)] + [
        queue.close()], daemon=True)
    producer.start()
    items = []
    while (item := queue.get()) is not None:
        items.append(item)
    producer.join(TIMEOUT)
    assert items == list(range(50))
    assert not producer.is_alive()
    assert queue.get() is None


def test_get_on_empty_closed_queue_returns_none() -> None:
    queue: FrameQueue[int] = FrameQueue(1)
    queue.close()
    assert queue.get() is None


def test_error_is_raised_after_remaining_items() -> None:
    queue: FrameQueue[int] = FrameQueue(3)
    queue.put(1)
    queue.put(2)
    queue.close(OSError("gone"))
    assert [queue.get(), queue.get()] == [1, 2]
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            queue.get()


def test_cancel_unblocks_waiting_producer() -> None:
    queue: FrameQueue[int] = FrameQueue(1)
    outcome: list[str] = []

    def produce() -> None:
        try:
            for number in range(3):
                queue.put(number)
        except QueueCancelled:
            outcome.append("cancelled")

    producer = threading.Thread(target=produce, daemon=True)
    producer.start()
    assert queue.get() == 0
    queue.cancel()
    producer.join(TIMEOUT)
    assert outcome == ["cancelled"]
    with pytest.raises(QueueCancelled):
        queue.put(9)


def test_close_unblocks_waiting_consumer() -> None:
    queue: FrameQueue[int] = FrameQueue(1)
    items: list[object] = []
    consumer = threading.Thread(target=lambda: items.append(queue.get()), daemon=True)
    consumer.start()
    queue.close()
    consumer.join(TIMEOUT)
    assert items == [None]


def test_put_after_close_raises() -> None:
    queue: FrameQueue[int] = FrameQueue(1)
    queue.close()
    with pytest.raises(RuntimeError, match="closed"):
        queue.put(1)


def test_capacity_below_one_is_rejected() -> None:
    with pytest.raises(ValueError, match="got 0"):
        FrameQueue(0)


def test_drop_oldest_never_blocks_and_counts_dropped() -> None:
    queue: FrameQueue[int] = FrameQueue(2, drop_oldest=True)
    for number in range(10):
        queue.put(number)
    queue.close()
    assert queue.dropped == 8
    assert [queue.get(), queue.get(), queue.get()] == [8, 9, None]


def test_get_up_to_returns_at_most_limit() -> None:
    queue: FrameQueue[int] = FrameQueue(5)
    for number in range(5):
        queue.put(number)
    queue.close(OSError("gone"))
    assert queue.get_up_to(3) == [0, 1, 2]
    assert queue.get_up_to(3) == [3, 4]
    with pytest.raises(OSError, match="gone"):
        queue.get_up_to(3)


def test_cancel_unblocks_waiting_consumer() -> None:
    queue: FrameQueue[int] = FrameQueue(1)
    items: list[object] = []
    consumer = threading.Thread(target=lambda: items.append(queue.get()), daemon=True)
    consumer.start()
    queue.cancel()
    consumer.join(TIMEOUT)
    assert items == [None] and queue.cancelled
