"""``engine='auto'``: time the available engines and choose the fastest."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray
from torch import nn

from detkit.errors import DetkitError, is_out_of_memory
from detkit.inference.engines.availability import (
    available_engines,
    ensure_precision_available,
    resolve_device_type,
)
from detkit.inference.engines.build import build_engine
from detkit.inference.engines.engine import Engine
from detkit.inference.engines.input_batch import dummy_batch
from detkit.inference.engines.parity import TOLERANCES, outputs_match
from detkit.machine.threads import cores_are_shared

logger = logging.getLogger(__name__)

# Engines to time, the probably fastest first. torch.compile is left out, since it compiles for
# minutes on a CPU, and so is ONNX Runtime where OpenVINO is installed.
CANDIDATES = {"cpu": ("openvino", "torch"), "cuda": ("tensorrt", "torch")}
CPU_CANDIDATES_WITHOUT_OPENVINO = ("onnxruntime", "torch")
WARM_UP, RUNS = 3, 10


@dataclass(frozen=True)
class EngineChoice:
    """The chosen engine, and the times of all engines that were tried.

    Args:
        engine: the fastest one whose detections match torch's.
        milliseconds: median time of one image, divided by the number of streams, by 'name
            precision'.
        cacheable: whether the choice is reproducible: no engine ran out of memory, and no other
            process used the cores.
    """

    engine: Engine
    milliseconds: dict[str, float]
    cacheable: bool = True


def choose_engine(
    graph: nn.Module,
    input_hw: tuple[int, int],
    precision: str = "auto",
    num_streams: int = 1,
    device: str = "auto",
    sample_image: NDArray[np.uint8] | None = None,
) -> EngineChoice:
    """Time the available engines on a graph, and choose the fastest.

    An engine that fails, or whose detections do not match torch's in float32, is skipped with a
    warning in the log.

    Args:
        graph: the static graph, in eval mode.
        input_hw: height and width of its input in pixels.
        precision: 'f32', 'bf16', or 'auto' for both, bf16 only where the hardware supports it.
        num_streams: number of concurrent calls.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        sample_image: (H, W, 3) uint8 RGB, a letterboxed image to time with; None for a synthetic
            one.

    Raises:
        ExportError: no engine runs in ``precision`` on this machine.
    """
    device_type = resolve_device_type(device)
    if precision != "auto":
        ensure_precision_available(precision, device)
    states = {state.name: state.precisions for state in available_engines(device)}
    names = CANDIDATES[device_type] if states[
        "openvino"] or device_type == "cuda" else CPU_CANDIDATES_WITHOUT_OPENVINO
    reference = build_engine("torch", graph, input_hw, "f32", device=device)
    batch = _batch(input_hw, sample_image)
    reference_output = reference(*batch)
    latencies: dict[str, float] = {}
    best: Engine | None = None
    cacheable = True
    for name in names:
        for candidate in [
                p for p in ("f32", "bf16") if precision in ("auto", p) and p in states[name]
        ]:
            label = f"{name} {candidate}"
            try:
                engine = reference if label == "torch f32" else build_engine(
                    name, graph, input_hw, candidate, num_streams, device)
                matches = outputs_match(reference_output, engine(*batch), TOLERANCES[candidate])
            except (DetkitError, RuntimeError) as error:
                cacheable = cacheable and not is_out_of_memory(error)
                logger.warning("engine %s is skipped: %s", label,
                               " ".join(str(error).split())[:200])
                continue
            if not matches:
                logger.warning("engine %s is skipped: its detections do not match torch's",
                               label)
                engine.close()
                continue
            latencies[label] = measure_latency(engine, batch) / engine.num_streams
            if best is None or latencies[label] < latencies[f"{best.name} {best.precision}"]:
                if best is not None:
                    best.close()
                best = engine
    chosen = best or build_engine("torch", graph, input_hw,
                                  "f32" if precision == "auto" else precision, device=device)
    logger.info("engine: %s %s at %dx%d (%s)", chosen.name, chosen.precision, *input_hw,
                ", ".join(f"{name} {value:.1f} ms" for name, value in latencies.items()))
    return EngineChoice(chosen, latencies, cacheable and not cores_are_shared())


def measure_latency(
    engine: Engine, batch: tuple[NDArray[np.uint8], NDArray[np.int64]], runs: int = RUNS
) -> float:
    """Median milliseconds of a call with ``batch``, after warm-up calls."""
    for _ in range(WARM_UP):
        engine(*batch)
    durations = []
    for _ in range(runs):
        start = time.perf_counter()
        engine(*batch)
        durations.append((time.perf_counter() - start) * 1000)
    return median(durations)


def _batch(
    input_hw: tuple[int, int], sample_image: NDArray[np.uint8] | None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if sample_image is None:
        return dummy_batch(input_hw, batch=1)
    return sample_image[None], np.array([input_hw], np.int64)
