"""The test pipeline that a checkpoint's config carries, run on images that come as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.registry import DefaultScope
from torchvision.transforms import v2

from detkit.config.validate.file_config import PIPELINE_KEY, is_loading_step
from detkit.errors import ConfigError, DataError, format_error
from detkit.inference.run_test_step import Prepared
from detkit.registry import SCOPE, TRANSFORMS

# Of one picture; 200 MB. A 224 pixel model's would be more than a thousand times as long as wide.
MAX_PIXELS = 2**26


class ImagePipeline:
    """The steps of a test pipeline without those that load images and annotations.

    Args:
        pipeline: the steps as a config writes them.
        packer: the step that packs inputs in pipelines of this kind, named where none does.

    Attributes:
        steps: the built steps, in their order.
        loaders: the configs of the steps that are left out.

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
        """``results`` after all steps.

        Args:
            results: what the loaders would have left.
            size_hw: height and width of the image, for the message.

        Raises:
            DataError: a step cannot deal with this image, or it is so long and thin that to
                resize its shorter side would make more than 2**26 pixels of it.
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
                        f"{description} does not pass the test pipeline's {name}",
                        got=format_error(error),
                        expected="an image that can be resized to the model's input",
                    ) from error
                if output is None:
                    raise DataError(f"{description} is refused by the test pipeline's {name}")
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
            f"{description} is too long: resized to {side} pixels of its shorter side it would have "
            f"{side * long_side // short_side} of its longer one",
            expected=f"at most {MAX_PIXELS // side}", hint="cut it into pieces",
        )


def _build(step: Mapping[str, Any]) -> Any:
    try:
        return TRANSFORMS.build(dict(step))
    except Exception as error:
        raise ConfigError(
            f"{PIPELINE_KEY}: the step {step.get('type')!r} cannot be built",
            got=format_error(error),
        ) from error
