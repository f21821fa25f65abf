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

from detkit.errors import DetkitError, WeightsError, machine_failure, with_kind
from detkit.machine.bounded_tensors import BoundedTensors, TooMuchError
from detkit.machine.memory import available_memory
from detkit.machine.threads import settle_threads
from detkit.registry import SCOPE

Image = NDArray[np.uint8]
Prepared = dict[str, Any]
Answer = TypeVar("Answer")
# A detector's answer to one image takes some thousands, to 64 some ten thousands.
_MOST_CALLS = 300_000
_SHOWN = 200  # characters of an error of another library
_TRIED: WeakSet[Any] = WeakSet()


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
    with torch.inference_mode(), DefaultScope.overwrite_default_scope(SCOPE), _bounded(model):
        return list(model.test_step(batch))


@contextmanager
def _bounded(model: StepModel) -> Iterator[None]:
    """Refuse a model whose first answer fails, or needs more memory than is left, or has no end.

    A few letters of its config make it so: how far images are padded, how finely a box is sampled,
    how many maps there are. Looking takes time, so that later answers are not looked at.
    """
    if model in _TRIED:
        yield
        return
    try:
        with BoundedTensors(available_memory(), _MOST_CALLS):
            yield
    except TooMuchError as error:
        raise WeightsError("the model's first answer takes too much", got=str(error),
                           do="use a smaller batch, smaller images or another model") from error
    except DetkitError:
        raise
    except Exception as error:
        if machine_failure(error) is not None:
            raise
        # Its config may say what its parts take one by one and cannot do together.
        raise WeightsError("the model that the checkpoint describes cannot answer",
                           got=with_kind(error)[:_SHOWN],
                           do="use a checkpoint as it was trained") from error
    _TRIED.add(model)
