"""An OpenVINO model in 8 bits: NNCF's post-training quantisation of the network in it.

Coordinates stay in float32: a byte has no room for the pixels of a picture. Only what the graph
took whole from the trained model is quantised, and every layer with weights. The neck stays in
float32, too, from whose maps boxes are read: of a small cascade on blood cells that gives back 0.6
of 0.9 lost points of AP. So do RoI heads where the processor does not multiply bytes by an
instruction of its own: 8 bits make their layers no faster there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import ExportError
from detkit.inference.engines.no_telemetry import import_nncf
from detkit.inference.engines.openvino.convert import coordinate_ops

CalibrationImage = tuple[NDArray[np.uint8], tuple[int, int]]
# Of `FeatureExtractor` and `TwoStageGraph`.
NECK, ROI_HEADS = "__module.feature_extractor.neck.", "__module.roi_head."
# In Linux's words: of Intel's and AMD's processors, and of Arm's.
INT8_CPU_FLAGS = {"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8", "asimddp", "i8mm"}


def quantize(model: Any, network_modules: Sequence[str], images: Sequence[CalibrationImage]) -> Any:
    """A copy of an OpenVINO model whose network computes in 8 bits.

    Args:
        model: the ``openvino.Model``, from ``build_openvino_model``.
        network_modules: names of the modules that are the network, from ``parts_of``.
        images: canvases (H, W, 3) uint8 RGB of training pictures with the (height, width) of
            what is picture in each; what is seen in them sets the ranges of the numbers.

    Raises:
        MissingExtraError: nncf is not installed.
        ExportError: there are no pictures.
    """
    # Looks for a GPU's compiler as it is imported, and says so.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    nncf = import_nncf()
    if not images:
        raise ExportError("int8 needs pictures to measure the numbers' ranges on", got="none",
                          hint="name a folder with a train split by --data")
    ignored_nodes = {node.get_friendly_name() for node in coordinate_ops(model, network_modules)}
    fp32_prefixes = (NECK,) if has_int8_instructions() else (NECK, ROI_HEADS)
    ignored_nodes |= {
        node.get_friendly_name()
        for node in model.get_ops()
        if node.get_type_name() != "Constant" and node.get_friendly_name().startswith(fp32_prefixes)
    }

    def as_inputs(calibration_image: CalibrationImage) -> list[NDArray[Any]]:
        canvas, image_hw = calibration_image
        return [canvas[None], np.array([image_hw], np.int64)]

    logging.getLogger("nncf").setLevel(logging.ERROR)
    with _progress_on_stderr():
        return nncf.quantize(
            model.clone(), nncf.Dataset(images, as_inputs),
            preset=nncf.QuantizationPreset.MIXED, subset_size=len(images),
            fast_bias_correction=True,
            ignored_scope=nncf.IgnoredScope(names=sorted(ignored_nodes), validate=False),
        )


def has_int8_instructions(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor has instructions for products of bytes; yes where nothing tells.

    OpenVINO's own word for it, INT8, stands for processors without them, too.
    """
    try:
        lines = cpu_info.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return True
    flags = [line for line in lines if line.lower().startswith(("flags", "features"))]
    return not flags or any(INT8_CPU_FLAGS & set(line.split()) for line in flags)


@contextlib.contextmanager
def _progress_on_stderr() -> Any:
    """Send nncf's progress to stderr, on a terminal, and nowhere else."""
    if sys.stderr.isatty():
        with contextlib.redirect_stdout(sys.stderr):
            yield
        return
    with open(os.devnull, "w", encoding="utf-8") as devnull:
        with contextlib.redirect_stdout(devnull):
            yield
