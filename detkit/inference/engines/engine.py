"""The interface of all engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RawDetections:
    """The output of a static graph for a batch of B images, at most K results per image.

    Args:
        boxes: (B, K, 4) float32, xyxy, pixels of the input.
        scores: (B, K) float32, from 0 to 1, highest first.
        labels: (B, K) int64.
        counts: (B,) int64; the first ``counts[b]`` rows of image b are results, the rest is zero.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    counts: NDArray[np.int64]


class Engine(Protocol):
    """A static graph that one library runs; safe to call from several threads.

    Attributes:
        name: 'torch', 'torch.compile', 'openvino', 'onnxruntime' or 'tensorrt'.
        precision: 'f32', 'bf16', 'f16' or 'int8'.
        input_hw: height and width of its input images.
        num_streams: number of concurrent calls, each from its own thread, that it is set up for.
    """

    name: str
    precision: str
    input_hw: tuple[int, int]
    num_streams: int

    def __call__(
        self, images: NDArray[np.uint8], image_hw: NDArray[np.int64]
    ) -> RawDetections:
        """Detect objects in a batch.

        Args:
            images: (B, H, W, 3) uint8 RGB, H x W the input size; B may be 0.
            image_hw: (B, 2) int64, height and width of the image at the top left of each input; the
                pixels outside have no effect.
        """
        ...

    def close(self) -> None:
        """Release the resources of the library; may be called twice."""
        ...
