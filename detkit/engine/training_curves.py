"""The curves of a training, from the scalars that the runner collects.

The runner's message hub has the losses and the learning rate of every iteration; checkpoints
contain it. So a resumed run continues its curves, even in another folder and from an earlier
checkpoint. The json log has only every 50th iteration, a file for each start, and lines of the
iterations that a resumed run repeats.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from detkit.text import shorten
from detkit.visualization.curves_plot import Curve, TrainingCurves

VALIDATION_ITERS = "curves/validation_iter"  # completed iterations at each validation
MAX_LABEL_CHARS = 16
MIN_POINTS, MAX_POINTS, ITERS_PER_POINT = 20, 100, 10

_SCORE_LABELS = {"coco/bbox_mAP": "AP", "coco/bbox_mAP_50": "AP50", "cls/top1": "top-1"}
_LOSS_LABELS = {"loss_cls": "classification", "loss_bbox": "boxes", "loss_iou": "box overlap",
                "loss_mask": "masks", "loss_centerness": "centerness", "loss_dfl": "distribution"}
_STAGE = re.compile(r"s(\d+)\.")
_DECODER_LAYER = re.compile(r"d\d+\.")

_Values = NDArray[np.float64]


def training_curves(
    scalars: Mapping[str, _Values], iteration: int, epoch_length: int | None
) -> TrainingCurves:
    """The curves of a training up to ``iteration``.

    Args:
        scalars: history of each scalar of the message hub, (N,): 'train/NAME' of the last N
            iterations, 'val/NAME' of the last N validations.
        iteration: number of completed iterations.
        epoch_length: iterations in an epoch; None counts iterations on the x axis.

    Returns:
        Losses and learning rate, averaged over at least 10 iterations a point where there are
        enough; the scores of each validation.
    """
    scale = 1.0 if epoch_length is None else 1.0 / epoch_length
    losses = [_averaged(label, values, iteration, scale)
              for label, values in group_losses(scalars).items()]
    rates = [_averaged("learning rate", scalars[name], iteration, scale)
             for name in ("train/base_lr", "train/lr") if name in scalars]
    validation_iters = scalars.get(VALIDATION_ITERS, np.empty(0))
    scores = [_score_curve(label, scalars[f"val/{name}"], validation_iters, scale)
              for name, label in _score_labels(scalars).items()]
    return TrainingCurves(tuple(losses), tuple(curve for curve in scores if len(curve.x)),
                          tuple(rates[:1]), "iteration" if epoch_length is None else "epoch")


def group_losses(scalars: Mapping[str, _Values]) -> dict[str, _Values]:
    """The total loss and the sums of its parts, by label.

    The parts are the RPN, the stages of a cascade or the RoI head of a two-stage detector; else
    each loss. A model with a single loss has only the total.
    """
    names = [name.removeprefix("train/") for name in scalars
             if name.startswith("train/") and "loss" in name]
    groups: dict[str, _Values] = {}
    if "loss" in names:
        groups["total"] = scalars["train/loss"]
    for name in names:
        if name == "loss":
            continue
        label, values = _loss_label(name, names), scalars[f"train/{name}"]
        if label in groups:
            # A loss that began later is added to the last iterations.
            short, long = sorted((groups[label], values), key=len)
            values = long.copy()
            values[len(long) - len(short):] += short
        groups[label] = values
    return groups


def _loss_label(name: str, names: Iterable[str]) -> str:
    if "rpn" in name:
        return "RPN"
    stage = _STAGE.match(name)
    if stage is not None:
        return f"stage {int(stage[1]) + 1}"
    if _DECODER_LAYER.match(name):
        return "earlier layers"
    if name.startswith("enc_"):
        return "encoder"
    if any("rpn" in other for other in names):
        return "RoI head"
    return _LOSS_LABELS.get(name, shorten(name.replace("_", " "), MAX_LABEL_CHARS))


def _score_labels(scalars: Mapping[str, _Values]) -> dict[str, str]:
    """The label of each score to plot; the first two of an evaluator that is not known."""
    names = [name.removeprefix("val/") for name in scalars if name.startswith("val/")]
    known = {name: label for name, label in _SCORE_LABELS.items() if name in names}
    others = [name for name in names if name not in ("time", "data_time", "memory")]
    return known or {
        name: shorten(name.split("/")[-1], MAX_LABEL_CHARS) for name in others[:2]}


def _score_curve(label: str, values: _Values, iters: _Values, scale: float) -> Curve:
    # A checkpoint of an earlier version has the scores without their iterations.
    count = min(len(values), len(iters))
    # A resumed run may repeat the last validation.
    by_iter = dict(zip(iters[len(iters) - count:].tolist(), values[len(values) - count:].tolist()))
    ordered = sorted(by_iter)
    return Curve(label, np.array(ordered, float) * scale,
                 np.array([by_iter[key] for key in ordered], float))


def _averaged(label: str, values: _Values, iteration: int, scale: float) -> Curve:
    """The means of about equally many iterations; the last value is that of ``iteration``."""
    count = len(values)
    if count == 0:
        return Curve(label, np.empty(0), np.empty(0))
    points = min(count, max(MIN_POINTS, min(MAX_POINTS, count // ITERS_PER_POINT)))
    starts = np.arange(points) * count // points
    sizes = np.diff(np.append(starts, count))
    x = np.arange(iteration - count + 1, iteration + 1, dtype=float) * scale
    return Curve(label, np.add.reduceat(x, starts) / sizes,
                 np.add.reduceat(np.asarray(values, float), starts) / sizes)
