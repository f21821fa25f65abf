"""What stands between the ``Predictor`` and a model of one task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from mmengine.registry import DefaultScope
from numpy.typing import NDArray

from detkit.machine.threads import settle_threads
from detkit.registry import SCOPE

Image = NDArray[np.uint8]
Prepared = dict[str, Any]
Answer = TypeVar("Answer")


class StepModel(Protocol):
    """What is asked of a model here: mmengine's ``test_step``."""

    def test_step(self, data: dict[str, Any]) -> Any: ...


class Adapter(Protocol[Answer]):
    """Feeds images to a model of one task, and reads its answers."""

    def prepare(self, image: Image) -> Prepared:
        """One image as the test pipeline makes it: 'inputs' (3, h, w) and its 'data_samples'.

        Args:
            image: (H, W, 3) uint8 RGB; not changed.

        Raises:
            DataError: the pipeline cannot deal with an image of this size.
        """
        ...

    def look(self, prepared: Sequence[Prepared], score_threshold: float) -> list[Answer]:
        """The model's answer to each of ``prepared``, whose inputs are of one size.

        No images give an empty list.

        Raises:
            WeightsError: the answer is not finite, or does not fit the checkpoint's classes.
        """
        ...


def ask(model: StepModel, prepared: Sequence[Prepared]) -> list[Any]:
    """The samples that ``model`` answers with, one for each of ``prepared``; none for none."""
    if not prepared:
        return []
    settle_threads()
    batch = {key: [one[key] for one in prepared] for key in ("inputs", "data_samples")}
    with torch.inference_mode(), DefaultScope.overwrite_default_scope(SCOPE):
        return list(model.test_step(batch))
