"""What stands between the ``Predictor`` and a model of one task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

import numpy as np
import torch
from mmengine.registry import DefaultScope
from numpy.typing import NDArray

from detkit.errors import DetkitError, WeightsError, describe_system_failure, format_error
from detkit.machine.memory import available_memory
from detkit.machine.tensor_memory_limit import TensorLimitError, TensorMemoryLimit
from detkit.machine.threads import update_num_threads
from detkit.registry import SCOPE

Image = NDArray[np.uint8]
Prepared = dict[str, Any]
Prediction = TypeVar("Prediction")
# A detector's answer to one image takes some thousands, to 64 some ten thousands.
_MAX_CALLS = 300_000
_MAX_MESSAGE = 200  # characters of an error of another library
_VALIDATED_MODELS: WeakSet[Any] = WeakSet()


class TestStepModel(Protocol):
    """What is asked of a model here: mmengine's ``test_step``."""

    def test_step(self, data: dict[str, Any]) -> Any: ...


class Adapter(Protocol[Prediction]):
    """Feeds images to a model of one task, and reads its answers."""

    def prepare(self, image: Image) -> Prepared:
        """One image as the test pipeline makes it: 'inputs' (3, h, w) and its 'data_samples'.

        Args:
            image: (H, W, 3) uint8 RGB; not changed.

        Raises:
            DataError: the pipeline cannot deal with an image of this size.
        """
        ...

    def predict(self, prepared: Sequence[Prepared], score_threshold: float) -> list[Prediction]:
        """The model's answer to each of ``prepared``, whose inputs are of one size.

        No images give an empty list.

        Raises:
            WeightsError: the answer is not finite, or does not fit the checkpoint's classes.
        """
        ...


def run_test_step(model: TestStepModel, prepared: Sequence[Prepared]) -> list[Any]:
    """The samples that ``model`` answers with, one for each of ``prepared``; none for none."""
    if not prepared:
        return []
    update_num_threads()
    batch = {key: [item[key] for item in prepared] for key in ("inputs", "data_samples")}
    with torch.inference_mode(), DefaultScope.overwrite_default_scope(SCOPE), _memory_bounded(
            model):
        return list(model.test_step(batch))


@contextmanager
def _memory_bounded(model: TestStepModel) -> Iterator[None]:
    """Refuse a model whose first answer fails, or needs more memory than is left, or has no end.

    A few letters of its config make it so: how far images are padded, how finely a box is sampled,
    how many maps there are. Looking takes time, so that later answers are not looked at.
    """
    if model in _VALIDATED_MODELS:
        yield
        return
    try:
        with TensorMemoryLimit(available_memory(), _MAX_CALLS):
            yield
    except TensorLimitError as error:
        raise WeightsError("the model's first answer takes too much", got=str(error),
                           hint="use a smaller batch, smaller images or another model") from error
    except DetkitError:
        raise
    except Exception as error:
        if describe_system_failure(error) is not None:
            raise
        # Its config may say what its parts take one by one and cannot do together.
        raise WeightsError("the model that the checkpoint describes cannot answer",
                           got=format_error(error)[:_MAX_MESSAGE],
                           hint="use a checkpoint as it was trained") from error
    _VALIDATED_MODELS.add(model)
