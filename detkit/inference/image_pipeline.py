"""The test pipeline that a checkpoint's config carries, run on images that come as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.registry import DefaultScope
from torchvision.transforms import v2

from detkit.config.validate.file_config import PIPELINE, is_loader
from detkit.errors import ConfigError, DataError, with_kind
from detkit.inference.predictor_protocol import Prepared
from detkit.registry import SCOPE, TRANSFORMS

# Of one picture; 200 MB. A 224 pixel model's would be more than a thousand times as long as wide.
MOST_PIXELS = 2**26


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
        self.loaders = [step for step in pipeline if is_loader(step)]
        with DefaultScope.overwrite_default_scope(SCOPE):
            self.steps = [_build(step) for step in pipeline if not is_loader(step)]
        if not any("Pack" in type(step).__name__ for step in self.steps):
            raise ConfigError(
                PIPELINE,
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
        what = f"an image of {size_hw[1]}x{size_hw[0]} pixels (width x height)"
        done: Any = results
        with DefaultScope.overwrite_default_scope(SCOPE):
            for step in self.steps:
                name = type(step).__name__
                _refuse_long(step, done, what)
                try:
                    done = step(done)
                except ConfigError:
                    raise
                except Exception as error:
                    raise DataError(
                        f"{what} does not pass the test pipeline's {name}",
                        got=with_kind(error),
                        expected="an image that can be resized to the model's input",
                    ) from error
                if done is None:
                    raise DataError(f"{what} is refused by the test pipeline's {name}")
        prepared: Prepared = done
        return prepared


def _refuse_long(step: Any, results: Mapping[str, Any], what: str) -> None:
    resize = getattr(step, "inner", None)
    if not isinstance(resize, v2.Resize):
        return
    if resize.size is None or len(resize.size) != 1 or resize.max_size is not None:
        return
    side = int(resize.size[0])
    short, long = sorted(results["img_shape"])
    if side * side * long // short > MOST_PIXELS:
        raise DataError(
            f"{what} is too long: resized to {side} pixels of its shorter side it would have "
            f"{side * long // short} of its longer one",
            expected=f"at most {MOST_PIXELS // side}", do="cut it into pieces",
        )


def _build(step: Mapping[str, Any]) -> Any:
    try:
        return TRANSFORMS.build(dict(step))
    except Exception as error:
        raise ConfigError(
            f"{PIPELINE}: the step {step.get('type')!r} cannot be built",
            got=with_kind(error),
        ) from error
