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
from detkit.inference.engines.availability import available_engines, device_kind, require_any
from detkit.inference.engines.build import build_engine
from detkit.inference.engines.engine import Engine
from detkit.inference.engines.input_batch import example
from detkit.inference.engines.parity import TOLERANCES, agree
from detkit.machine.threads import cores_are_shared

logger = logging.getLogger(__name__)

# What is worth trying, the likely fastest first. torch.compile takes minutes to make ready on a
# CPU, and two libraries that do the same are not both waited for.
CANDIDATES = {"cpu": ("openvino", "torch"), "cuda": ("tensorrt", "torch")}
WITHOUT_OPENVINO = ("onnxruntime", "torch")
WARM_UP, RUNS = 3, 10


@dataclass(frozen=True)
class Chosen:
    """The engine that was taken, and what the tried ones took.

    Args:
        engine: the fastest that agrees with torch.
        milliseconds: the median for one picture, by 'name precision', divided by the pictures
            that are served side by side.
        lasting: whether the same is likely to be chosen again: no engine ran out of memory, and no
            other process used the cores.
    """

    engine: Engine
    milliseconds: dict[str, float]
    lasting: bool = True


def choose_engine(
    graph: nn.Module,
    canvas_hw: tuple[int, int],
    precision: str = "auto",
    streams: int = 1,
    device: str = "auto",
    probe: NDArray[np.uint8] | None = None,
) -> Chosen:
    """Try the engines that the machine has on this very graph, and take the fastest.

    An engine that fails, or finds something else than torch in float32 does, is not taken, and
    the log says so.

    Args:
        graph: the static graph, in eval mode.
        canvas_hw: height and width of its canvases in pixels.
        precision: 'auto' tries float32, and bf16 where the machine computes in it; or one of
            both.
        streams: calls to be served side by side.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        probe: (H, W, 3) uint8 RGB, a canvas to try on; None for spots of colour.

    Raises:
        ExportError: no engine computes in ``precision`` here.
    """
    kind = device_kind(device)
    if precision != "auto":
        require_any(precision, device)
    states = {state.name: state.precisions for state in available_engines(device)}
    names = CANDIDATES[kind] if states["openvino"] or kind == "cuda" else WITHOUT_OPENVINO
    reference = build_engine("torch", graph, canvas_hw, "f32", device=device)
    batch = _batch(canvas_hw, probe)
    truth = reference(*batch)
    took: dict[str, float] = {}
    best: Engine | None = None
    lasting = True
    for name in names:
        for one in [p for p in ("f32", "bf16") if precision in ("auto", p) and p in states[name]]:
            label = f"{name} {one}"
            try:
                engine = reference if label == "torch f32" else build_engine(
                    name, graph, canvas_hw, one, streams, device)
                same = agree(truth, engine(*batch), TOLERANCES[one])
            except (DetkitError, RuntimeError) as error:
                lasting = lasting and not is_out_of_memory(error)
                logger.warning("the engine %s is not taken: %s", label,
                               " ".join(str(error).split())[:200])
                continue
            if not same:
                logger.warning("the engine %s is not taken: it does not find what torch finds",
                               label)
                engine.close()
                continue
            took[label] = measure(engine, batch) / engine.streams
            if best is None or took[label] < took[f"{best.name} {best.precision}"]:
                if best is not None:
                    best.close()
                best = engine
    chosen = best or build_engine("torch", graph, canvas_hw,
                                  "f32" if precision == "auto" else precision, device=device)
    logger.info("engine: %s %s at %dx%d (%s)", chosen.name, chosen.precision, *canvas_hw,
                ", ".join(f"{name} {value:.1f} ms" for name, value in took.items()))
    return Chosen(chosen, took, lasting and not cores_are_shared())


def measure(
    engine: Engine, batch: tuple[NDArray[np.uint8], NDArray[np.int64]], runs: int = RUNS
) -> float:
    """Median milliseconds of a call with ``batch``, after a warm-up."""
    for _ in range(WARM_UP):
        engine(*batch)
    taken = []
    for _ in range(runs):
        begun = time.perf_counter()
        engine(*batch)
        taken.append((time.perf_counter() - begun) * 1000)
    return median(taken)


def _batch(
    canvas_hw: tuple[int, int], probe: NDArray[np.uint8] | None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if probe is None:
        return example(canvas_hw, batch=1)
    return probe[None], np.array([canvas_hw], np.int64)
