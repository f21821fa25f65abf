"""An OpenVINO model in 8 bits: NNCF's post-training quantisation of the network in it.

Coordinates stay in float32: a byte has no room for the pixels of a picture. Only what the graph
took whole from the trained model is quantised, and every layer with weights.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import ExportError, MissingExtraError
from detkit.inference.engines.openvino_convert import coordinates

Canvas = tuple[NDArray[np.uint8], tuple[int, int]]


def quantised(model: Any, parts: Sequence[str], pictures: Sequence[Canvas]) -> Any:
    """A copy of an OpenVINO model whose network computes in 8 bits.

    Args:
        model: the ``openvino.Model``, from ``openvino_model``.
        parts: names of the modules that are the network, from ``parts_of``.
        pictures: canvases (H, W, 3) uint8 RGB of training pictures with the (height, width) of
            what is picture in each; what is seen in them sets the ranges of the numbers.

    Raises:
        MissingExtraError: nncf is not installed.
        ExportError: there are no pictures.
    """
    # Looks for a GPU's compiler as it is imported, and says so.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    try:
        import nncf
    except ImportError as error:
        raise MissingExtraError("nncf", "openvino") from error
    if not pictures:
        raise ExportError("int8 needs pictures to measure the numbers' ranges on", got="none",
                          do="name a folder with a train split by --data")
    outside = [node.get_friendly_name() for node in coordinates(model, parts)]

    def as_inputs(picture: Canvas) -> list[NDArray[Any]]:
        canvas, valid_hw = picture
        return [canvas[None], np.array([valid_hw], np.int64)]

    logging.getLogger("nncf").setLevel(logging.ERROR)
    with _aside():
        return nncf.quantize(
            model.clone(), nncf.Dataset(pictures, as_inputs),
            preset=nncf.QuantizationPreset.MIXED, subset_size=len(pictures),
            fast_bias_correction=True,
            ignored_scope=nncf.IgnoredScope(names=outside, validate=False),
        )


@contextlib.contextmanager
def _aside() -> Any:
    """Send nncf's progress to stderr, on a terminal, and nowhere else."""
    if sys.stderr.isatty():
        with contextlib.redirect_stdout(sys.stderr):
            yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        with contextlib.redirect_stdout(nowhere):
            yield
