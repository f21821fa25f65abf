"""``engine='auto'``: the fastest engine of those that the machine has, by trying them."""

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

# What is worth trying, the likely fastest first. torch.compile takes minutes to make ready on a
# CPU, and two libraries that do the same are not both waited for.
CANDIDATES = {"cpu": ("openvino", "torch"), "cuda": ("tensorrt", "torch")}
CPU_CANDIDATES_WITHOUT_OPENVINO = ("onnxruntime", "torch")
WARM_UP, RUNS = 3, 10


@dataclass(frozen=True)
class EngineChoice:
    """The engine that was taken, and what the tried ones took.

    Args:
        engine: the fastest that agrees with torch.
        milliseconds: the median for one picture, by 'name precision', divided by the pictures
            that are served side by side.
        cacheable: whether the same is likely to be chosen again: no engine ran out of memory, and
            no other process used the cores.
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
    """Try the engines that the machine has on this very graph, and take the fastest.

    An engine that fails, or finds something else than torch in float32 does, is not taken, and
    the log says so.

    Args:
        graph: the static graph, in eval mode.
        input_hw: height and width of its canvases in pixels.
        precision: 'auto' tries float32, and bf16 where the machine computes in it; or one of
            both.
        num_streams: calls to be served side by side.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        sample_image: (H, W, 3) uint8 RGB, a canvas to try on; None for spots of colour.

    Raises:
        ExportError: no engine computes in ``precision`` here.
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
                logger.warning("the engine %s is not taken: %s", label,
                               " ".join(str(error).split())[:200])
                continue
            if not matches:
                logger.warning("the engine %s is not taken: it does not find what torch finds",
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
    """Median milliseconds of a call with ``batch``, after a warm-up."""
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
