"""Run the test pipeline of a checkpoint's config on images in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.registry import DefaultScope
from torchvision.transforms import v2

from detkit.config.validate.embedded_config import PIPELINE_KEY, is_loading_step
from detkit.errors import ConfigError, DataError, format_error
from detkit.inference.run_test_step import Prepared
from detkit.registry import SCOPE, TRANSFORMS

# Of one resized image; 200 MB. At 224 pixels its aspect ratio would be above 1,000.
MAX_PIXELS = 2**26


class ImagePipeline:
    """A test pipeline without its loading steps.

    Args:
        pipeline: the steps, as in a config.
        packer: the packing step to suggest in a message if there is none.

    Attributes:
        steps: the built steps, in their order.
        loaders: the configs of the loading steps.

    Raises:
        ConfigError: a step cannot be built, or none packs the inputs.
    """

    def __init__(self, pipeline: Sequence[Mapping[str, Any]], packer: str) -> None:
        self.loaders = [step for step in pipeline if is_loading_step(step)]
        with DefaultScope.overwrite_default_scope(SCOPE):
            self.steps = [_build(step) for step in pipeline if not is_loading_step(step)]
        if not any("Pack" in type(step).__name__ for step in self.steps):
            raise ConfigError(
                PIPELINE_KEY,
                got=[type(step).__name__ for step in self.steps],
                expected=f"a last step that packs the inputs, such as {packer}",
            )

    def __call__(self, results: dict[str, Any], size_hw: tuple[int, int]) -> Prepared:
        """Apply all steps.

        Args:
            results: what the loading steps would have returned.
            size_hw: height and width of the image, for messages.

        Raises:
            DataError: a step fails on this image, or its aspect ratio is so large that it would
                have more than 2**26 pixels after the resize.
        """
        description = f"an image of {size_hw[1]}x{size_hw[0]} pixels (width x height)"
        output: Any = results
        with DefaultScope.overwrite_default_scope(SCOPE):
            for step in self.steps:
                name = type(step).__name__
                _check_aspect_ratio(step, output, description)
                try:
                    output = step(output)
                except ConfigError:
                    raise
                except Exception as error:
                    raise DataError(
                        f"{description}: the test pipeline's {name} fails",
                        got=format_error(error),
                        expected="an image that can be resized to the model's input",
                    ) from error
                if output is None:
                    raise DataError(f"{description}: the test pipeline's {name} returns nothing")
        prepared: Prepared = output
        return prepared


def _check_aspect_ratio(step: Any, results: Mapping[str, Any], description: str) -> None:
    resize = getattr(step, "inner", None)
    if not isinstance(resize, v2.Resize):
        return
    if resize.size is None or len(resize.size) != 1 or resize.max_size is not None:
        return
    side = int(resize.size[0])
    short_side, long_side = sorted(results["img_shape"])
    if side * side * long_side // short_side > MAX_PIXELS:
        raise DataError(
            f"{description}: too large an aspect ratio: with a shorter side of {side} pixels its "
            "longer side would be too long", got=side * long_side // short_side,
            expected=f"at most {MAX_PIXELS // side}", hint="cut it into tiles",
        )


def _build(step: Mapping[str, Any]) -> Any:
    try:
        return TRANSFORMS.build(dict(step))
    except Exception as error:
        raise ConfigError(
            f"{PIPELINE_KEY}: the step {step.get('type')!r} cannot be built",
            got=format_error(error),
        ) from error
