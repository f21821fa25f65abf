"""The torch engine: eager, or compiled by inductor."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from detkit.inference.engines.engine import RawDetections
from detkit.inference.engines.input_batch import check_batch, dummy_batch, empty_result
from detkit.machine.threads import update_num_threads

AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16}


class TorchEngine:
    """Run a static graph with torch, in the callers' threads.

    Args:
        graph: the static graph, in eval mode; moved to ``device``, with weights in channels-last
            memory format, as the images are.
        input_hw: height and width of the input in pixels.
        precision: 'f32', or 'bf16' or 'f16' by autocast.
        device: 'cpu', 'cuda' or 'cuda:N'.
        compiled: compile the graph, with frozen weights. The first call of each batch size takes up
            to minutes; batch size 1 is compiled in the constructor.

    Attributes:
        name, precision, input_hw, num_streams: as of `Engine`. The number of streams is 1, since
            torch shares one thread pool among all calls.
    """

    def __init__(
        self,
        graph: nn.Module,
        input_hw: tuple[int, int],
        precision: str = "f32",
        device: str = "cpu",
        compiled: bool = False,
    ) -> None:
        self.name = "torch.compile" if compiled else "torch"
        self.precision = precision
        self.input_hw = input_hw
        self.num_streams = 1
        self._device = torch.device(device)
        graph = graph.to(self._device)
        # The type stubs of nn.Module.to lack memory_format.
        self._graph: Any = graph
        self._graph = self._graph.to(memory_format=torch.channels_last)
        if compiled:
            # In eager mode first: a graph that cannot be run is not compiled either.
            self(*dummy_batch(input_hw, batch=1))
            options: Any = {"freezing": True} if self._device.type == "cpu" else None
            self._graph = torch.compile(self._graph, options=options, dynamic=False)
            self(*dummy_batch(input_hw, batch=1))

    def __call__(
        self, images: NDArray[np.uint8], image_hw: NDArray[np.int64]
    ) -> RawDetections:
        """Detect objects in a batch; see `Engine`."""
        check_batch(images, image_hw, self.input_hw)
        if not len(images):
            return empty_result(self)
        update_num_threads()
        autocast_dtype = AUTOCAST_DTYPES.get(self.precision)
        with torch.inference_mode(), torch.autocast(
            self._device.type, dtype=autocast_dtype, enabled=autocast_dtype is not None
        ):
            outputs = self._graph(
                torch.from_numpy(np.ascontiguousarray(images)).to(self._device),
                torch.from_numpy(np.ascontiguousarray(image_hw)).to(self._device),
            )
            boxes, scores, labels, counts = (tensor.cpu() for tensor in outputs)
        return RawDetections(boxes.float().numpy(), scores.float().numpy(), labels.numpy(),
                             counts.numpy())

    def close(self) -> None:
        """Nothing to release."""
