"""Batches of frames to a model, several at once, with the answers back in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from detkit.errors import DetkitError, VideoError, with_kind
from detkit.inference.predict_files import Look
from detkit.video.frame_queue import Channel, ChannelCancelled
from detkit.video.io.frame import Frame

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Seen(Generic[Answer]):
    """A batch of frames, the answer for each, and the seconds that the model took for all."""

    frames: list[Frame]
    answers: Sequence[Answer]
    seconds: float


class LookStage(Generic[Answer]):
    """A thread that hands batches to as many threads as the model serves at once.

    A batch is taken only when one of those threads is free for it: of a channel that keeps the
    newest frames it is the newest that are looked at.

    Args:
        look: gives one answer for each of a list of (H, W, 3) uint8 RGB images.
        frames: where the frames come from.
        batch_size: so many frames go to ``look`` at once; the last batch may be smaller.
        workers: so many calls of ``look`` run at once.
        waiting: at most so many batches wait to be fetched.
        fill: wait until a batch is full; else take the frames that are there.
    """

    def __init__(
        self, look: Look[Answer], frames: Channel[Frame], *,
        batch_size: int, workers: int, waiting: int, fill: bool,
    ) -> None:
        self._look = look
        self._frames = frames
        self._batch_size = batch_size
        self._fill = fill
        self._free = threading.Semaphore(workers)
        self._orders: Channel[Future[Seen[Answer]]] = Channel(waiting)
        self._pool = ThreadPoolExecutor(workers, "video-look")
        self._thread = threading.Thread(name="video-batcher", target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def __iter__(self) -> Iterator[Seen[Answer]]:
        """Yield what was seen, in the order of the frames.

        Raises:
            VideoError: the model failed, or gave another number of answers; or whatever ended
                the frames. All that comes before it in order was yielded before.
        """
        while (order := self._orders.get()) is not None:
            yield order.result()

    def end(self) -> None:
        """Stop, and wait until the calls that run are through."""
        self._frames.cancel()
        self._orders.cancel()
        if self._thread.ident is not None:
            self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        try:
            for batch in self._batches():
                self._orders.put(self._pool.submit(self._work, batch))
        except ChannelCancelled:
            pass
        except BaseException as error:
            self._orders.close(error)
        else:
            self._orders.close()

    def _batches(self) -> Iterator[list[Frame]]:
        """Lists of frames, each when a worker is free; an error comes after the frames before."""
        batch: list[Frame] = []
        while True:
            self._free.acquire()
            error: BaseException | None = None
            more: list[Frame] = []
            try:
                while len(batch) < self._batch_size:
                    more = self._frames.get_up_to(self._batch_size - len(batch))
                    batch += more
                    if not more or not self._fill:
                        break
            except BaseException as caught:
                error = caught
            if batch:
                yield batch
            if error is not None:
                raise error
            if not more:
                return
            batch = []

    def _work(self, batch: list[Frame]) -> Seen[Answer]:
        begin = time.perf_counter()
        try:
            answers = self._answers(batch)
        finally:
            self._free.release()
        return Seen(batch, answers, time.perf_counter() - begin)

    def _answers(self, batch: list[Frame]) -> Sequence[Answer]:
        where = f"frame {batch[0].index}"
        try:
            answers = self._look([frame.image for frame in batch])
            count = len(answers)
        except Exception as error:
            raise VideoError(f"{where}: the model failed: {say(error)}") from error
        if count != len(batch):
            raise VideoError(
                f"{where}: the model's answer", got=f"{count} results",
                expected=f"one for each of {len(batch)} frames",
            )
        return answers


def say(error: BaseException) -> str:
    """An error in words: a message of ours as it is, another with its kind before it."""
    if isinstance(error, DetkitError):
        return str(error)
    return with_kind(error)
