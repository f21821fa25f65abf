"""Change the size of the images that a config trains and tests with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from detkit.config.data.datasets import iter_split_datasets
from detkit.errors import ConfigError
from detkit.walk import walk_dicts

_SPLITS = ("train", "val", "test")
# Arguments of transforms that are sizes in pixels: a number, (w, h), or a list of them.
_SIZE_KEYS = ("scale", "scales", "size", "crop_size", "img_scale", "img_size", "pad_size")
# Smaller numbers are fractions: the scale of a RandomResizedCrop, the size of a relative crop.
_MIN_PIXELS = 2


def scale_image_size(cfg: Config, size: int) -> None:
    """Scale every size in the pipelines so that test images have ``size`` pixels, in place.

    The longer side of a detector's resized image, the side of a classifier's crop. Training sizes,
    crops, mosaics and the fixed sizes of batch augments are scaled by the same factor, and rounded.

    Args:
        cfg: a config with dataloaders.
        size: in pixels.

    Raises:
        ConfigError: no step of the test pipeline sets a size.
    """
    current = get_image_size(cfg)
    if current is None:
        raise ConfigError("--size: no step of the config's test pipeline sets a size",
                          expected="a Resize with a scale, or a crop with a size")
    factor = size / current
    for _, dataset in iter_split_datasets(cfg, _SPLITS):
        _scale_sizes(dataset.get("pipeline"), factor)
    preprocessor = (cfg.get("model") or {}).get("data_preprocessor") or {}
    if isinstance(preprocessor, Mapping):
        _scale_sizes(preprocessor.get("batch_augments"), factor)


def get_image_size(cfg: Mapping[str, Any]) -> int | None:
    """The longer side in pixels that the last size of a test pipeline gives; None if not known.

    Args:
        cfg: a config; the validation's pipeline stands in where there is no test split.
    """
    for split in ("test", "val"):
        for _, dataset in iter_split_datasets(cfg, (split,)):
            sides = [max(_numbers(step[key])) for step in _steps(dataset.get("pipeline"))
                     for key in _size_keys(step)]
            if sides:
                return int(sides[-1])
    return None


def _scale_sizes(pipeline: Any, factor: float) -> None:
    for step in _steps(pipeline):
        for key in _size_keys(step):
            step[key] = _scaled(step[key], factor)


def _steps(pipeline: Any) -> Iterator[Any]:
    """The steps of a pipeline, those within other steps too."""
    return (step for _, step in walk_dicts(pipeline) if "type" in step)


def _size_keys(step: Mapping[str, Any]) -> list[str]:
    """The arguments of a step that are sizes in pixels."""
    return [key for key in _SIZE_KEYS if (numbers := _numbers(step.get(key)))
            and min(numbers) >= _MIN_PIXELS]


def _numbers(value: Any) -> list[float]:
    if isinstance(value, (list, tuple)):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def _scaled(value: Any, factor: float) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_scaled(item, factor) for item in value)
    return max(1, round(value * factor))
