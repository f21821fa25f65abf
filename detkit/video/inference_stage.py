"""Batches of frames to a model, several at once, with the answers back in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from detkit.errors import DetkitError, VideoError, format_error
from detkit.inference.predict_files import PredictFn
from detkit.video.frame_queue import FrameQueue, QueueCancelled
from detkit.video.io.frame import Frame

Prediction = TypeVar("Prediction")


@dataclass(frozen=True)
class BatchResult(Generic[Prediction]):
    """A batch of frames, the answer for each, and the seconds that the model took for all."""

    frames: list[Frame]
    predictions: Sequence[Prediction]
    seconds: float


class InferenceStage(Generic[Prediction]):
    """A thread that hands batches to as many threads as the model serves at once.

    A batch is taken only when one of those threads is free for it: of a queue that keeps the
    newest frames it is the newest that are looked at.

    Args:
        predict: gives one answer for each of a list of (H, W, 3) uint8 RGB images.
        frames: where the frames come from.
        batch_size: so many frames go to ``predict`` at once; the last batch may be smaller.
        workers: so many calls of ``predict`` run at once.
        max_waiting: at most so many batches wait to be fetched.
        wait_for_full_batch: wait until a batch is full; else take the frames that are there.
    """

    def __init__(
        self, predict: PredictFn[Prediction], frames: FrameQueue[Frame], *,
        batch_size: int, workers: int, max_waiting: int, wait_for_full_batch: bool,
    ) -> None:
        self._predict = predict
        self._frames = frames
        self._batch_size = batch_size
        self._wait_for_full_batch = wait_for_full_batch
        self._free = threading.Semaphore(workers)
        self._futures: FrameQueue[Future[BatchResult[Prediction]]] = FrameQueue(max_waiting)
        self._pool = ThreadPoolExecutor(workers, "video-look")
        self._thread = threading.Thread(name="video-batcher", target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def __iter__(self) -> Iterator[BatchResult[Prediction]]:
        """Yield what was seen, in the order of the frames.

        Raises:
            VideoError: the model failed, or gave another number of answers; or whatever ended
                the frames. All that comes before it in order was yielded before.
        """
        while (future := self._futures.get()) is not None:
            yield future.result()

    def end(self) -> None:
        """Stop, and wait until the calls that run are through."""
        self._frames.cancel()
        self._futures.cancel()
        if self._thread.ident is not None:
            self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        try:
            for batch in self._batches():
                self._futures.put(self._pool.submit(self._predict_batch, batch))
        except QueueCancelled:
            pass
        except BaseException as error:
            self._futures.close(error)
        else:
            self._futures.close()

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
                    if not more or not self._wait_for_full_batch:
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

    def _predict_batch(self, batch: list[Frame]) -> BatchResult[Prediction]:
        begin = time.perf_counter()
        try:
            predictions = self._checked_predictions(batch)
        finally:
            self._free.release()
        return BatchResult(batch, predictions, time.perf_counter() - begin)

    def _checked_predictions(self, batch: list[Frame]) -> Sequence[Prediction]:
        where = f"frame {batch[0].index}"
        try:
            predictions = self._predict([frame.image for frame in batch])
            count = len(predictions)
        except Exception as error:
            raise VideoError(f"{where}: the model failed: {error_message(error)}") from error
        if count != len(batch):
            raise VideoError(
                f"{where}: the model's answer", got=f"{count} results",
                expected=f"one for each of {len(batch)} frames",
            )
        return predictions


def error_message(error: BaseException) -> str:
    """An error in words: a message of ours as it is, another with its kind before it."""
    if isinstance(error, DetkitError):
        return str(error)
    return format_error(error)
