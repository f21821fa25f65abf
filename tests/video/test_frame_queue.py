"""The queue between stages: order, ends, failures, and nobody waits for ever."""

import threading

import pytest

from detkit.video.frame_queue import Channel, ChannelCancelled

SOON = 10.0  # seconds; only a hang takes longer


def test_items_come_in_order_and_the_end_is_none() -> None:
    channel: Channel[int] = Channel(2)
    producer = threading.Thread(target=lambda: [channel.put(n) for n in range(50)] + [
        channel.close()], daemon=True)
    producer.start()
    got = []
    while (item := channel.get()) is not None:
        got.append(item)
    producer.join(SOON)
    assert got == list(range(50))
    assert not producer.is_alive()
    assert channel.get() is None


def test_an_empty_closed_channel_ends_at_once() -> None:
    channel: Channel[int] = Channel(1)
    channel.close()
    assert channel.get() is None


def test_items_before_an_error_come_first() -> None:
    channel: Channel[int] = Channel(3)
    channel.put(1)
    channel.put(2)
    channel.close(OSError("gone"))
    assert [channel.get(), channel.get()] == [1, 2]
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            channel.get()


def test_cancel_wakes_a_producer_that_waits_for_room() -> None:
    channel: Channel[int] = Channel(1)
    outcome: list[str] = []

    def produce() -> None:
        try:
            for number in range(3):
                channel.put(number)
        except ChannelCancelled:
            outcome.append("cancelled")

    producer = threading.Thread(target=produce, daemon=True)
    producer.start()
    assert channel.get() == 0
    channel.cancel()
    producer.join(SOON)
    assert outcome == ["cancelled"]
    with pytest.raises(ChannelCancelled):
        channel.put(9)


def test_close_wakes_a_consumer_that_waits_for_items() -> None:
    channel: Channel[int] = Channel(1)
    got: list[object] = []
    consumer = threading.Thread(target=lambda: got.append(channel.get()), daemon=True)
    consumer.start()
    channel.close()
    consumer.join(SOON)
    assert got == [None]


def test_put_after_close_is_a_fault_of_the_caller() -> None:
    channel: Channel[int] = Channel(1)
    channel.close()
    with pytest.raises(RuntimeError, match="closed"):
        channel.put(1)


def test_a_channel_holds_at_least_one() -> None:
    with pytest.raises(ValueError, match="got 0"):
        Channel(0)


def test_a_channel_of_the_newest_never_waits_and_counts_what_it_throws_away() -> None:
    channel: Channel[int] = Channel(2, newest=True)
    for number in range(10):
        channel.put(number)
    channel.close()
    assert channel.dropped == 8
    assert [channel.get(), channel.get(), channel.get()] == [8, 9, None]


def test_several_come_at_once_and_never_more_than_asked_for() -> None:
    channel: Channel[int] = Channel(5)
    for number in range(5):
        channel.put(number)
    channel.close(OSError("gone"))
    assert channel.get_up_to(3) == [0, 1, 2]
    assert channel.get_up_to(3) == [3, 4]
    with pytest.raises(OSError, match="gone"):
        channel.get_up_to(3)


def test_cancel_wakes_a_consumer_that_waits_for_items() -> None:
    channel: Channel[int] = Channel(1)
    got: list[object] = []
    consumer = threading.Thread(target=lambda: got.append(channel.get()), daemon=True)
    consumer.start()
    channel.cancel()
    consumer.join(SOON)
    assert got == [None] and channel.cancelled
