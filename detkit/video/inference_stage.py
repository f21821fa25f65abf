"""Runs a model on batches of frames, several in parallel, and returns predictions in order."""

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
    """A batch of frames, the prediction for each, and the seconds of the model for the batch."""

    frames: list[Frame]
    predictions: Sequence[Prediction]
    seconds: float


class InferenceStage(Generic[Prediction]):
    """A thread that distributes batches over worker threads.

    A batch is formed only when a worker is free, so that a queue that drops old frames supplies
    the newest ones.

    Args:
        predict: returns a prediction for each of a list of (H, W, 3) uint8 RGB images.
        frames: supplies the frames.
        batch_size: frames per call of ``predict``; the last batch may be smaller.
        workers: number of parallel calls of ``predict``.
        max_waiting: maximum number of batches whose predictions wait to be fetched.
        wait_for_full_batch: wait until a batch is full; else use the frames available.
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
        self._pool = ThreadPoolExecutor(workers, "video-inference")
        self._thread = threading.Thread(name="video-batcher", target=self._run, daemon=True)

    def start(self) -> None:
        """Start the threads."""
        self._thread.start()

    def __iter__(self) -> Iterator[BatchResult[Prediction]]:
        """Yield the batches with their predictions, in the order of the frames.

        Raises:
            VideoError: the model failed or returned a wrong number of predictions, or the source
                of the frames failed. All earlier batches are yielded first.
        """
        while (future := self._futures.get()) is not None:
            yield future.result()

    def end(self) -> None:
        """Stop, and wait for the calls in progress."""
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
        """Batches, each when a worker is free; an error is raised after the frames before it."""
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
                f"{where}: the model's predictions", got=count,
                expected=f"one for each of {len(batch)} frames",
            )
        return predictions


def error_message(error: BaseException) -> str:
    """The message of an error, preceded by its type unless it is a `DetkitError`."""
    if isinstance(error, DetkitError):
        return str(error)
    return format_error(error)
