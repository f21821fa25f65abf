"""The test-time input size of a config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from detkit.config.data.datasets import unwrap_dataset
from detkit.errors import ConfigError

SIZE_HINT = "pass --size, as --size 800x1280"
# torchvision's transforms have sizes (height, width).
_TORCHVISION = "torchvision/"


def get_test_size(cfg: Config) -> tuple[int, int]:
    """Get the test-time input size (height, width) of a landscape image, with padding, in pixels.

    It is the scale of the last resize in the test pipeline, padded as the pipeline and the
    model's preprocessor pad; with keep_ratio, the largest possible size. For torchvision's
    transforms, it is the last crop, or the last Resize to a height and a width.

    Raises:
        ConfigError: the config has no test pipeline, or none with a fixed size.
    """
    pipeline = next(_pipelines(cfg), None)
    if pipeline is None:
        raise ConfigError("the config has no test pipeline with a size", hint=SIZE_HINT)
    steps = [step for step in pipeline if isinstance(step, Mapping)]
    size: tuple[int, int] | None = None
    for step in steps:
        name = str(step.get("type"))
        step_type = name.rpartition(".")[2]
        if name.startswith(_TORCHVISION):
            size = _size_after_torchvision(name.removeprefix(_TORCHVISION), step.get("size"), size)
        elif step_type in ("Resize", "FixScaleResize") and step.get("scale") is not None:
            size = _size_after_resize(step)
        elif step_type == "Pad" and size is not None:
            size = _pad_size(size, step.get("size"), step.get("size_divisor"))
    if size is None:
        raise ConfigError("the test pipeline of the config has no Resize with a scale, and no crop",
                          hint=SIZE_HINT)
    return _pad_size(size, None, _divisor(cfg))


get_test_size.__test__ = False  # type: ignore[attr-defined]


def _pipelines(cfg: Config) -> Iterator[Any]:
    for key in ("test_dataloader", "val_dataloader"):
        for dataset in unwrap_dataset((cfg.get(key) or {}).get("dataset")):
            if isinstance(dataset.get("pipeline"), (list, tuple)):
                yield dataset["pipeline"]


def _size_after_resize(step: Mapping[str, Any]) -> tuple[int, int]:
    scale = step["scale"]
    sides = (scale, scale) if isinstance(scale, int) else tuple(scale)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ConfigError("the scale of the test pipeline's Resize", got=repr(scale),
                          expected="width and height in pixels", hint=SIZE_HINT)
    width, height = sides
    # With keep_ratio the two are the long and the short side, in any order.
    return (min(sides), max(sides)) if step.get("keep_ratio") else (height, width)


def _size_after_torchvision(
    step_type: str, step_size: Any, current: tuple[int, int] | None
) -> tuple[int, int] | None:
    """Height and width after a transform of torchvision, None where they depend on the image."""
    sides = (step_size,) if isinstance(step_size, int) else tuple(step_size or ())
    if step_type == "Resize":
        # One number is the shorter side; the longer one keeps the aspect ratio.
        return (sides[0], sides[1]) if len(sides) == 2 else None
    if step_type in ("CenterCrop", "RandomCrop", "RandomResizedCrop") and sides:
        return sides[0], sides[-1]
    return current


def _pad_size(size: tuple[int, int], min_size: Any, divisor: Any) -> tuple[int, int]:
    """``min_size`` is (width, height), as mmcv's Pad takes it."""
    height, width = size
    if min_size is not None:
        sides = (min_size, min_size) if isinstance(min_size, int) else tuple(min_size)
        width, height = max(width, sides[0]), max(height, sides[1])
    step = divisor if isinstance(divisor, int) and divisor > 0 else 1
    return -(-height // step) * step, -(-width // step) * step


def _divisor(cfg: Config) -> Any:
    for section in (cfg.get("model"), cfg):
        preprocessor = (section or {}).get("data_preprocessor")
        if isinstance(preprocessor, Mapping):
            return preprocessor.get("pad_size_divisor")
    return None
