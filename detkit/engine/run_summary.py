"""What a training was: its model, data, time and files, for the screen at its end."""

from __future__ import annotations

import filecmp
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.model import is_model_wrapper

from detkit.config.task import is_classifier
from detkit.engine.hooks.curves_hook import CURVES_FILE, hub_curves, training_progress

_MODEL_NAMES = {
    "CascadeRCNN": "Cascade R-CNN", "FasterRCNN": "Faster R-CNN", "RetinaNet": "RetinaNet",
    "DeformableDETR": "Deformable DETR", "ImageClassifier": "classifier",
}


@dataclass(frozen=True)
class RunSummary:
    """What a training was, and where its files are.

    Args:
        config: the config file.
        data: the value of ``--data``; None if the config's data was used.
        is_classifier: whether the model is a classifier; else a detector.
        model: the detector or classifier, backbone, neck and number of parameters, in words.
        weights: where the run's first weights came from, in words.
        classes: names in the order of the labels; empty if not known.
        images: number of images of the training and validation split, where there is one.
        tested_on_val: whether the test used the validation images, for want of a test split.
        schedule: the epochs or iterations that were trained, in words.
        seconds: time of the run, the test included; since the resume if it was resumed.
        training_seconds: time of all iterations, those before a resume included; None if not
            measured.
        resumed: the checkpoint from which the run was resumed.
        validation: name, value and position ('epoch 7') of the best validation score.
        curves, ledger, log: files; None where there is none.
    """

    config: str
    data: str | None
    is_classifier: bool
    model: str
    weights: str
    classes: tuple[str, ...]
    images: Mapping[str, int]
    tested_on_val: bool
    schedule: str
    seconds: float
    training_seconds: float | None
    resumed: str | None
    validation: tuple[str, float, str] | None
    curves: Path | None
    ledger: Path | None
    log: Path | None


def summarize_run(
    cfg: Config, runner: Any, config: str | Path, data: str | None,
    classes: Sequence[str] | None, seconds: float,
) -> RunSummary:
    """The summary of a training that has ended.

    Args:
        cfg: the config of the run, after all steps.
        runner: the runner, trained.
        config: the config file.
        data: the value of ``--data``.
        classes: names in the order of the labels; None if not known.
        seconds: time that the run took.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    folder = Path(runner.work_dir)
    times = runner.message_hub.log_scalars.get("train/time")
    return RunSummary(
        config=str(config), data=data, is_classifier=is_classifier(cfg),
        model=f"{describe_model(cfg.get('model') or {})}; "
              f"{_count(sum(weight.numel() for weight in model.parameters()))} parameters",
        weights=_describe_weights(cfg), classes=tuple(classes or ()), images=_image_counts(runner),
        tested_on_val=_is_tested_on_val(cfg),
        schedule=_describe_schedule(runner), seconds=seconds,
        training_seconds=None if times is None else float(times.data[0].sum()),
        resumed=str(cfg.load_from) if cfg.get("resume") else None,
        validation=_best_validation(runner), curves=_existing(folder / CURVES_FILE),
        ledger=None if data is None else _existing(folder / "data" / "ledger.json"),
        log=_existing(Path(runner.log_dir, f"{runner.timestamp}.log")),
    )


def describe_model(model: Mapping[str, Any]) -> str:
    """The types of a model's detector or classifier, backbone and neck in words."""
    words = [_type_name(model)]
    backbone = model.get("backbone")
    if isinstance(backbone, Mapping):
        size = backbone.get("arch", backbone.get("name", backbone.get("depth")))
        name = _type_name(backbone)
        words.append(f"{name} {size}" if isinstance(size, (str, int)) else name)
    necks = model.get("neck")
    for neck in necks if isinstance(necks, (list, tuple)) else [necks]:
        if isinstance(neck, Mapping):
            words.append(_type_name(neck))
    return ", ".join(words)


def _type_name(component: Mapping[str, Any]) -> str:
    kind = component.get("type", "model")
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
    name = name.split(".")[-1]
    return _MODEL_NAMES.get(name, name)


def _count(number: int) -> str:
    return f"{number / 1e6:.1f} million" if number >= 1e5 else f"{number:,}"


def _describe_weights(cfg: Config) -> str:
    if cfg.get("load_from") and not cfg.get("resume"):
        return str(cfg.load_from)
    model: Any = cfg.get("model") or {}
    backbone: Any = model.get("backbone") or {}
    # A classifier's own is the model's, which has the last layer too.
    for part in (backbone, model):
        inits = part.get("init_cfg") or {}
        for init in inits if isinstance(inits, (list, tuple)) else [inits]:
            if isinstance(init, Mapping) and init.get("checkpoint"):
                return f"a backbone from {init['checkpoint']}"
    return "a pretrained backbone" if backbone.get("pretrained") else "random weights"


def _image_counts(runner: Any) -> dict[str, int]:
    counts = {}
    for split in ("train", "val"):
        loader = getattr(getattr(runner, f"_{split}_loop"), "dataloader", None)
        if loader is not None:
            dataset = loader.dataset
            while hasattr(dataset, "dataset"):  # one that repeats or mixes another
                dataset = dataset.dataset
            if hasattr(dataset, "__len__"):
                counts[split] = len(dataset)
    return counts


def _is_tested_on_val(cfg: Config) -> bool:
    """Whether the test split has the annotations and images of the validation split."""
    val: Any = (cfg.get("val_dataloader") or {}).get("dataset") or {}
    test: Any = (cfg.get("test_dataloader") or {}).get("dataset") or {}
    if any(val.get(key) != test.get(key) for key in ("data_root", "data_prefix")):
        return False
    # --data writes a file of each split, also of one that stands in for another.
    val_file, test_file = (Path(dataset.get("data_root") or "", dataset.get("ann_file") or "")
                           for dataset in (val, test))
    return val_file == test_file or (val_file.is_file() and test_file.is_file()
                                     and filecmp.cmp(val_file, test_file, shallow=False))


def _describe_schedule(runner: Any) -> str:
    done, total, unit = training_progress(runner)
    unit = unit if done == 1 else f"{unit}s"
    if runner.iter < runner.max_iters:
        return f"stopped after {done:.9g} of {total:.9g} {unit}"
    return f"{done:.9g} {unit}"


def _best_validation(runner: Any) -> tuple[str, float, str] | None:
    curves = hub_curves(runner)
    if not curves.scores or not np.isfinite(curves.scores[0].y).any():
        return None
    main = curves.scores[0]
    best = int(np.nanargmax(main.y))
    return main.label, float(main.y[best]), f"{curves.unit} {_round(main.x[best]):.9g}"


def _round(position: float) -> float:
    """To one decimal, or two digits of a fraction of an epoch."""
    return round(position, 1) if position >= 1 else float(f"{position:.2g}")


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None
