"""Feature levels of a model of timm and the image sizes it supports, found by running it.

It runs on torch's meta device, where tensors have no data: that takes tenths of a second and works
for every model without a table.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from detkit.errors import ConfigError
from detkit.models.backbones.timm.create import check_timm_name, create_timm_model
from detkit.models.backbones.timm.relative_position_bias import enable_dynamic_img_size
from detkit.models.validation import is_count

logger = logging.getLogger(__name__)

# Arguments of timm's models that allow images of any size.
_DYNAMIC_SIZE_ARGS = {"dynamic_img_size": True, "strict_img_size": False}
_PROBE_SIZE = (203, 317)
# Levels of the feature pyramids of detectors; used where strides='auto' and a model has them all.
_USUAL_STRIDES = (4, 8, 16, 32)
# Networks without padding have empty maps for images below about 75 pixels.
_MIN_SIZE = 96


@dataclass(frozen=True)
class TimmLevels:
    """The selected feature levels, and the input sizes that they need.

    Args:
        indices: of the levels in timm's ``feature_info``.
        channels, strides: of each level.
        options: for ``create_timm_model``, the user's and those for dynamic image sizes.
        multiple: image sides are padded to multiples of this.
        fixed_size: (H, W) that every image is padded to, for a model with a fixed input size.
        rounds_up: whether map sizes are ceil(size / stride) for padded images.
    """

    indices: tuple[int, ...]
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    options: Mapping[str, Any]
    multiple: int
    fixed_size: tuple[int, int] | None
    rounds_up: bool

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """Get the padded size (H, W) of an image.

        Raises:
            ConfigError: the image is larger than the fixed size of the model.
        """
        if self.fixed_size is not None:
            if height > self.fixed_size[0] or width > self.fixed_size[1]:
                raise ConfigError(
                    "TimmBackbone: this model has a fixed input size",
                    got=f"{height} x {width} pixels",
                    expected=f"at most {self.fixed_size[0]} x {self.fixed_size[1]}",
                    hint="set img_size=(H, W) of the largest image, or resize images",
                )
            return self.fixed_size
        min_size = 1 if self.rounds_up else _MIN_SIZE
        rows = -(-max(height, min_size) // self.multiple)
        columns = -(-max(width, min_size) // self.multiple)
        return rows * self.multiple, columns * self.multiple


def resolve_levels(
    name: str, strides: Sequence[int] | str | None, options: Mapping[str, Any]
) -> TimmLevels:
    """Find the deepest level of each stride, and the padding of images that it needs.

    Args:
        name: of timm's model.
        strides: ascending; None for the deepest level only; 'auto' for (4, 8, 16, 32) where the
            model has them, else for all its strides from 4.
        options: the user's arguments for ``timm.create_model``.

    Raises:
        ConfigError: an unknown name, argument or stride.
        WeightsError: an unknown tag of weights.
    """
    check_timm_name(name)
    with torch.device("meta"), torch.no_grad():
        model = create_timm_model(name, options, num_classes=0)
        parameters = inspect.signature(type(model).__init__).parameters
        dynamic_args = {
            k: v
            for k, v in _DYNAMIC_SIZE_ARGS.items()
            if k in parameters and k not in options
        }
        options = {**options, **dynamic_args}
        if dynamic_args:
            model = create_timm_model(name, options, num_classes=0)
        enable_dynamic_img_size(model)
        indices = _indices(name, model, strides)
        reductions = tuple(int(model.feature_info[i]["reduction"])  # type: ignore[index]
                           for i in indices)
        prune_to_levels(model, indices)
        return _probe_levels(name, model.eval(), indices, reductions, options)


def prune_to_levels(model: nn.Module, indices: Sequence[int]) -> None:
    """Remove the classifier, the final norm and all layers after the last of the levels."""
    model.prune_intermediate_layers(list(indices), prune_norm=True)  # type: ignore[operator]


def forward_levels(model: Any, images: Tensor, indices: Sequence[int]) -> list[Tensor]:
    """Compute the maps (B, C, h, w) of these levels."""
    maps: list[Tensor] = model.forward_intermediates(
        images, indices=list(indices), norm=False, output_fmt="NCHW", intermediates_only=True
    )
    return maps


def _indices(name: str, model: Any, strides: Sequence[int] | str | None) -> tuple[int, ...]:
    info = getattr(model, "feature_info", None)
    if not info or not hasattr(model, "forward_intermediates"):
        raise ConfigError(f"TimmBackbone: timm's {name} has no feature maps",
                          hint="choose another model")
    deepest = {int(level["reduction"]): index for index, level in enumerate(info)}
    if strides is None:
        return (len(info) - 1,)
    if strides == "auto":
        strides = _USUAL_STRIDES
        if not set(strides) <= set(deepest):
            available = sorted(deepest)
            strides = [stride for stride in available if stride >= strides[0]] or available
    requested = list(strides) if isinstance(strides, (list, tuple)) else []
    if not requested or not all(map(is_count, requested)) or requested != sorted(set(requested)):
        raise ConfigError("TimmBackbone: strides", got=repr(strides),
                          expected="ascending whole numbers above 0, at least one, 'auto' or None")
    if set(requested) <= set(deepest):
        return tuple(deepest[stride] for stride in requested)
    listed = ", ".join(map(str, sorted(deepest)))
    if len(deepest) == 1:
        raise ConfigError(
            f"TimmBackbone: {name} is a plain transformer: all its maps have stride {listed}",
            got=f"strides={tuple(requested)}",
            expected=f"strides='auto', None or ({listed},)",
            hint="neck=dict(type='SimpleFeaturePyramid') adds the other levels",
        )
    raise ConfigError(f"TimmBackbone: {name} has no such level", got=f"strides={tuple(requested)}",
                      expected=f"some of {listed}, or 'auto'")


def _probe_levels(
    name: str, model: Any, indices: tuple[int, ...], strides: tuple[int, ...],
    options: Mapping[str, Any],
) -> TimmLevels:
    """Run the model with increasingly restricted image sizes until the maps have their strides."""
    img_size = options.get("img_size") or model.pretrained_cfg["input_size"][-2:]
    native_size = ((img_size, img_size) if isinstance(img_size, int)
                   else (int(img_size[0]), int(img_size[1])))
    deepest, longest_side = strides[-1], max(native_size)
    in_chans = options.get("in_chans", 3)
    trials: list[tuple[int, tuple[int, int]]] = [
        (1, _PROBE_SIZE),
        (deepest, (5 * deepest, 8 * deepest)),
        (2 * deepest, (6 * deepest, 8 * deepest)),
        (longest_side, (longest_side, 2 * longest_side)),
    ]
    first_result: TimmLevels | None = None
    for multiple, size in trials:
        result = _run(name, model, indices, (in_chans, *size))
        if isinstance(result, str):
            continue
        channels = tuple(int(level.shape[1]) for level in result)
        expected = [tuple(-(-length // stride) for length in size) for stride in strides]
        shapes = [tuple(level.shape[-2:]) for level in result]
        levels = TimmLevels(indices, channels, strides, options, multiple, None, shapes == expected)
        if shapes == expected:
            return levels
        first_result = first_result or levels
    if first_result is not None:
        return first_result
    result = _run(name, model, indices, (in_chans, *native_size))
    if isinstance(result, str):
        raise ConfigError(f"TimmBackbone: timm cannot compute the levels of {name} ({result})",
                          got=f"strides {strides}", hint="choose another model")
    channels = tuple(int(level.shape[1]) for level in result)
    shapes = [tuple(level.shape[-2:]) for level in result]
    fits = shapes == [tuple(-(-length // stride) for length in native_size) for stride in strides]
    return TimmLevels(indices, channels, strides, options, 1, native_size, fits)


def _run(
    name: str, model: nn.Module, indices: Sequence[int], shape: tuple[int, int, int]
) -> list[Tensor] | str:
    """The maps of an image (C, H, W), or the error as one line."""
    try:
        return forward_levels(model, torch.zeros(1, *shape), indices)
    # timm's models raise errors of many types for unsupported sizes.
    except Exception as error:
        logger.debug("%s does not take images of %s", name, shape, exc_info=error)
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
