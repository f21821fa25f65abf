"""The size at which a config tests its model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from detkit.errors import ConfigError

DO = "pass --size, as --size 800x1280"
# Of torchvision, which gives sizes as (height, width).
_TORCHVISION = "torchvision/"


def test_size(cfg: Config) -> tuple[int, int]:
    """Height and width, in pixels, that ``cfg`` tests a landscape image at, padding included.

    The scale of the test pipeline's last resizing, padded as the pipeline and the model's
    preprocessor pad. Where proportions are kept it is the largest that an image can come to. Of
    torchvision's steps, the last crop or the last Resize to a height and a width.

    Raises:
        ConfigError: the config has no test pipeline, or none that resizes to a given size.
    """
    pipeline = next(_pipelines(cfg), None)
    if pipeline is None:
        raise ConfigError("the config has no test pipeline that says a size", do=DO)
    steps = [step for step in pipeline if isinstance(step, Mapping)]
    size: tuple[int, int] | None = None
    for step in steps:
        name = str(step.get("type"))
        kind = name.rpartition(".")[2]
        if name.startswith(_TORCHVISION):
            size = _of_torchvision(name.removeprefix(_TORCHVISION), step.get("size"), size)
        elif kind in ("Resize", "FixScaleResize") and step.get("scale") is not None:
            size = _resized(step)
        elif kind == "Pad" and size is not None:
            size = _padded(size, step.get("size"), step.get("size_divisor"))
    if size is None:
        raise ConfigError("the test pipeline of the config has no Resize with a scale, and no crop",
                          do=DO)
    return _padded(size, None, _divisor(cfg))


test_size.__test__ = False  # type: ignore[attr-defined]


def _pipelines(cfg: Config) -> Iterator[Any]:
    for key in ("test_dataloader", "val_dataloader"):
        dataset = (cfg.get(key) or {}).get("dataset")
        while isinstance(dataset, Mapping):
            if isinstance(dataset.get("pipeline"), (list, tuple)):
                yield dataset["pipeline"]
            dataset = dataset.get("dataset") or next(iter(dataset.get("datasets") or ()), None)


def _resized(step: Mapping[str, Any]) -> tuple[int, int]:
    scale = step["scale"]
    sides = (scale, scale) if isinstance(scale, int) else tuple(scale)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ConfigError("the scale of the test pipeline's Resize", got=repr(scale),
                          expected="width and height in pixels", do=DO)
    width, height = sides
    # Where proportions are kept the two are a long and a short side, in whichever order.
    return (min(sides), max(sides)) if step.get("keep_ratio") else (height, width)


def _of_torchvision(
    kind: str, given: Any, before: tuple[int, int] | None
) -> tuple[int, int] | None:
    """Height and width after one of torchvision's steps, None where the picture decides."""
    sides = (given,) if isinstance(given, int) else tuple(given or ())
    if kind == "Resize":
        # One number is the shorter side's; the longer one keeps the picture's proportions.
        return (sides[0], sides[1]) if len(sides) == 2 else None
    if kind in ("CenterCrop", "RandomCrop", "RandomResizedCrop") and sides:
        return sides[0], sides[-1]
    return before


def _padded(size: tuple[int, int], least: Any, divisor: Any) -> tuple[int, int]:
    """``least`` is (width, height), as mmcv's Pad takes it."""
    height, width = size
    if least is not None:
        sides = (least, least) if isinstance(least, int) else tuple(least)
        width, height = max(width, sides[0]), max(height, sides[1])
    step = divisor if isinstance(divisor, int) and divisor > 0 else 1
    return -(-height // step) * step, -(-width // step) * step


def _divisor(cfg: Config) -> Any:
    for holder in (cfg.get("model"), cfg):
        found = (holder or {}).get("data_preprocessor")
        if isinstance(found, Mapping):
            return found.get("pad_size_divisor")
    return None
