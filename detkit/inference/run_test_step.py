"""One call of mmengine's ``test_step``, with its memory bounded at the first call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from weakref import WeakSet

import torch
from mmengine.registry import DefaultScope

from detkit.errors import DetkitError, WeightsError, describe_system_failure, format_error
from detkit.machine.memory import available_memory
from detkit.machine.tensor_memory_limit import TensorLimitError, TensorMemoryLimit
from detkit.machine.threads import update_num_threads
from detkit.registry import SCOPE

Prepared = dict[str, Any]
# Tensor operations of one call; a detector needs some thousands for one image, some ten thousands
# for 64.
_MAX_CALLS = 300_000
_MAX_MESSAGE = 200  # characters of an error of another library
_VALIDATED_MODELS: WeakSet[Any] = WeakSet()


class TestStepModel(Protocol):
    """A model with mmengine's ``test_step``."""

    def test_step(self, data: dict[str, Any]) -> Any: ...


def run_test_step(model: TestStepModel, prepared: Sequence[Prepared]) -> list[Any]:
    """Run ``model`` on one batch.

    Args:
        model: the model, in eval mode.
        prepared: the output of the test pipeline for each image; inputs of one shape.

    Returns:
        One data sample per image; an empty list for no images.

    Raises:
        WeightsError: the model fails or needs more memory than is available, in its first call.
    """
    if not prepared:
        return []
    update_num_threads()
    batch = {key: [item[key] for item in prepared] for key in ("inputs", "data_samples")}
    with torch.inference_mode(), DefaultScope.overwrite_default_scope(SCOPE), _memory_bounded(
            model):
        return list(model.test_step(batch))


@contextmanager
def _memory_bounded(model: TestStepModel) -> Iterator[None]:
    """Limit the memory and the number of operations of a model's first call.

    A checkpoint is untrusted, and a few characters of its config can ask for any amount: the padded
    size of images, the sampling ratio of RoIAlign, the number of feature levels. The check costs
    time, so later calls of a model that passed are not checked.
    """
    if model in _VALIDATED_MODELS:
        yield
        return
    try:
        with TensorMemoryLimit(available_memory(), _MAX_CALLS):
            yield
    except TensorLimitError as error:
        raise WeightsError("inference needs too much memory or computation", got=str(error),
                           hint="use a smaller batch, smaller images or another model") from error
    except DetkitError:
        raise
    except Exception as error:
        if describe_system_failure(error) is not None:
            raise
        # Components that are valid alone may not fit together.
        raise WeightsError("inference with the checkpoint's model failed",
                           got=format_error(error)[:_MAX_MESSAGE],
                           hint="use an unmodified checkpoint") from error
    _VALIDATED_MODELS.add(model)
