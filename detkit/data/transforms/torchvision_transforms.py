"""torchvision's v2 transforms of one picture under the names ``torchvision/NAME``.

Each class here takes the arguments of the transform it is named after, so that a config reads as
torchvision's documentation does, but for words: ``interpolation="bicubic"``, ``fill="white"``,
``policy="imagenet"``. They work on ``results['img']``, a PIL picture in RGB, and leave one there;
torchvision's own code for PIL pictures does the work, which is what timm and the published
training scripts use. All random numbers are torch's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from mmcv.transforms import BaseTransform
from PIL import Image, ImageColor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from detkit.errors import ConfigError, DataError
from detkit.registry import TRANSFORMS

PREFIX = "torchvision/"
# One picture in, one picture out. Not here: what needs boxes or a whole batch (MixUp and CutMix
# are the classifier's), what gives several pictures, and what changes the type of the numbers,
# which PackInputs and the data preprocessor do.
NAMES = (
    "AugMix", "AutoAugment", "CenterCrop", "ColorJitter", "ElasticTransform", "GaussianBlur",
    "GaussianNoise", "Grayscale", "Identity", "JPEG", "Pad", "RGB", "RandAugment",
    "RandomAdjustSharpness", "RandomAffine", "RandomAutocontrast", "RandomChannelPermutation",
    "RandomCrop", "RandomEqualize", "RandomErasing", "RandomGrayscale", "RandomHorizontalFlip",
    "RandomInvert", "RandomPerspective", "RandomPhotometricDistort", "RandomPosterize",
    "RandomResize", "RandomResizedCrop", "RandomRotation", "RandomShortestSize", "RandomSolarize",
    "RandomVerticalFlip", "RandomZoomOut", "Resize", "ScaleJitter", "TrivialAugmentWide",
)
CONTAINERS = ("RandomApply", "RandomChoice", "RandomOrder")
# torchvision has no code for these on PIL pictures and would hand the picture back as it came.
_TENSOR_ONLY = frozenset({"GaussianNoise", "RandomErasing"})
# As many as Pillow decodes at the most.
_MAX_PIXELS = 2 * 89_478_485
# Pillow's numbers, which timm and older configs use.
_PIL_INTERPOLATIONS = {
    0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"
}


class TorchvisionTransform(BaseTransform):  # type: ignore[misc]
    """One of torchvision's v2 transforms at work on ``results['img']``.

    A result with one channel, such as Grayscale's default, becomes RGB with three equal ones.

    Args:
        **arguments: of the transform that ``transform_name`` names, by torchvision's names.

    Raises:
        ConfigError: torchvision refuses an argument, or a word is none of those it knows.
        DataError: Resize of a very thin picture would make a side vast, or nothing.
    """

    transform_name: ClassVar[str]

    def __init__(self, **arguments: Any) -> None:
        self.inner = _build_transform(self.transform_name, arguments)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace the picture by the transformed one; ``img_shape`` follows its size."""
        image = results["img"]
        if not isinstance(image, Image.Image):
            raise ConfigError(f"{PREFIX}{self.transform_name} works on PIL pictures",
                              got=f"a {type(image).__name__}",
                              hint="begin the pipeline with LoadClsImage")
        if self.transform_name == "Resize":
            _check_size(self.inner, image, results.get("img_path"))
        if self.transform_name in _TENSOR_ONLY:
            image = functional.to_pil_image(self.inner(functional.pil_to_tensor(image)))
        else:
            image = self.inner(image)
        results["img"] = image if image.mode == "RGB" else image.convert("RGB")
        results["img_shape"] = (image.height, image.width)
        return results

    def __repr__(self) -> str:
        return f"{PREFIX}{self.inner!r}"


class TorchvisionContainer(BaseTransform):  # type: ignore[misc]
    """One of torchvision's v2 containers, whose ``transforms`` are those of this registry.

    Args:
        **arguments: of the container that ``transform_name`` names; ``transforms`` is a list of
            configs or of built transforms.

    Raises:
        ConfigError: torchvision refuses an argument.
    """

    transform_name: ClassVar[str]

    def __init__(self, **arguments: Any) -> None:
        given = arguments.get("transforms")
        if isinstance(given, (list, tuple)):
            arguments["transforms"] = [
                TRANSFORMS.build(transform) if isinstance(transform, Mapping) else transform
                for transform in given
            ]
        self.inner = _build_transform(self.transform_name, arguments)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pass ``results`` through those of the inner transforms that are drawn."""
        transformed: dict[str, Any] = self.inner(results)
        return transformed

    def __repr__(self) -> str:
        inner_reprs = ", ".join(map(repr, self.inner.transforms))
        p = getattr(self.inner, "p", None)
        return f"{PREFIX}{self.transform_name}([{inner_reprs}]{'' if p is None else f', p={p}'})"


def _build_transform(name: str, arguments: Mapping[str, Any]) -> Any:
    """torchvision's transform ``name``, its words turned into what it takes."""
    parsed = {key: _ARGUMENT_PARSERS[key](name, value) if key in _ARGUMENT_PARSERS else value
              for key, value in arguments.items()}
    if name == "RandomErasing" and parsed.get("value") == "random":
        raise ConfigError(
            f"{PREFIX}{name}: value", got="'random'", expected="a number or three, 0 to 255",
            hint="TimmRandomErasing(mode='pixel') erases with noise of the pictures' own spread")
    size = parsed.get("size")
    if any(isinstance(side, int) and side < 1
           for side in (size if isinstance(size, (list, tuple)) else [size])):
        raise ConfigError(f"{PREFIX}{name}: size", got=size, expected="pixels, at least 1")
    try:
        return getattr(v2, name)(**parsed)
    except (TypeError, ValueError) as error:
        described = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise ConfigError(f"{PREFIX}{name}({described}): {error}") from error


def _check_size(resize: Any, image: Image.Image, path: object) -> None:
    """Refuse a picture so thin that a side would grow beyond all memory, or shrink to nothing."""
    if resize.size is not None and len(resize.size) > 1:
        return
    shorter, longer = sorted(image.size)
    scale = min([size[0] / shorter for size in [resize.size] if size is not None]
                + [max_size / longer for max_size in [resize.max_size] if max_size is not None])
    if shorter * scale < 1 or shorter * longer * scale ** 2 > _MAX_PIXELS:
        raise DataError(f"{path or 'the image'}: {image.width} x {image.height} pixels are "
                        f"too thin to be scaled by {scale:.3g}", got=f"{resize}",
                        hint="cut it into pieces, or leave it out")


def _parse_interpolation(name: str, value: Any) -> v2.InterpolationMode:
    word = _PIL_INTERPOLATIONS.get(value, value) if type(value) is int else value
    try:
        return v2.InterpolationMode(word)
    except ValueError:
        raise ConfigError(f"{PREFIX}{name}: interpolation", got=repr(value),
                          expected="one of " + ", ".join(_PIL_INTERPOLATIONS.values())) from None


def _parse_fill(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return list(ImageColor.getrgb(value)[:3])
    except ValueError:
        raise ConfigError(f"{PREFIX}{name}: fill", got=repr(value),
                          expected="a number, three, or a colour such as 'white' or '#7c7468'"
                          ) from None


def _parse_policy(name: str, value: Any) -> v2.AutoAugmentPolicy:
    try:
        return v2.AutoAugmentPolicy(value)
    except ValueError:
        choices = ", ".join(policy.value for policy in v2.AutoAugmentPolicy)
        raise ConfigError(f"{PREFIX}{name}: policy", got=repr(value),
                          expected=f"one of {choices}") from None


_ARGUMENT_PARSERS: dict[str, Callable[[str, Any], Any]] = {
    "interpolation": _parse_interpolation, "fill": _parse_fill, "policy": _parse_policy,
}


def _make_wrapper(name: str, base: type[BaseTransform]) -> type[BaseTransform]:
    """A class that takes the arguments of torchvision's ``name``, registered under its name."""
    wrapped_class = getattr(v2, name)

    def __init__(self: Any, **arguments: Any) -> None:
        base.__init__(self, **arguments)

    # The check of configs reads the arguments from here.
    __init__.__signature__ = inspect.signature(  # type: ignore[attr-defined]
        wrapped_class.__init__)
    namespace = {
        "transform_name": name, "__init__": __init__, "__module__": __name__,
        "__doc__": f"torchvision.transforms.v2.{name} at work on ``results['img']``."
    }
    wrapper: type[BaseTransform] = type(name, (base,), namespace)
    TRANSFORMS.register_module(name=PREFIX + name, module=wrapper)
    return wrapper


# By name in this module, so that a worker process that is started afresh finds them.
globals().update({name: _make_wrapper(name, TorchvisionTransform) for name in NAMES})
globals().update({name: _make_wrapper(name, TorchvisionContainer) for name in CONTAINERS})
