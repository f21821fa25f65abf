"""What runs a static graph, whichever library does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RawDetections:
    """What a static graph gives for a batch: B images, K results at most for each.

    Args:
        boxes: (B, K, 4) float32, xyxy, pixels of the canvas.
        scores: (B, K) float32, from 0 to 1, highest first.
        labels: (B, K) int64.
        counts: (B,) int64; the first ``counts[b]`` rows of image b are results, the rest zeros.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    counts: NDArray[np.int64]


class Engine(Protocol):
    """A static graph made ready by one library; safe to call from several threads.

    Attributes:
        name: 'torch', 'torch.compile', 'openvino', 'onnxruntime' or 'tensorrt'.
        precision: 'f32', 'bf16', 'f16' or 'int8'.
        input_hw: height and width of the images that it takes.
        num_streams: so many calls at once, each from a thread of its own, it serves well.
    """

    name: str
    precision: str
    input_hw: tuple[int, int]
    num_streams: int

    def __call__(
        self, images: NDArray[np.uint8], image_hw: NDArray[np.int64]
    ) -> RawDetections:
        """Detect in a batch of canvases.

        Args:
            images: (B, H, W, 3) uint8 RGB, H and W those of the canvas; B may be 0.
            image_hw: (B, 2) int64, height and width of the part of each canvas that holds the
                picture, at its top left; what lies beyond has no effect.
        """
        ...

    def close(self) -> None:
        """Let go of what the library holds; may be called twice."""
        ...
