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
# which PackClassInputs and the data preprocessor do.
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
_ON_TENSORS = frozenset({"GaussianNoise", "RandomErasing"})
# As many as Pillow decodes at the most.
_MOST_PIXELS = 2 * 89_478_485
# Pillow's numbers, which timm and older configs use.
_BY_NUMBER = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


class TorchvisionTransform(BaseTransform):  # type: ignore[misc]
    """One of torchvision's v2 transforms at work on ``results['img']``.

    A result with one channel, such as Grayscale's default, becomes RGB with three equal ones.

    Args:
        **arguments: of the transform that ``wrapped`` names, by torchvision's names.

    Raises:
        ConfigError: torchvision refuses an argument, or a word is none of those it knows.
        DataError: Resize of a very thin picture would make a side vast, or nothing.
    """

    wrapped: ClassVar[str]

    def __init__(self, **arguments: Any) -> None:
        self.inner = _built(self.wrapped, arguments)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace the picture by the transformed one; ``img_shape`` follows its size."""
        picture = results["img"]
        if not isinstance(picture, Image.Image):
            raise ConfigError(f"{PREFIX}{self.wrapped} works on PIL pictures",
                              got=f"a {type(picture).__name__}",
                              do="begin the pipeline with LoadPicture")
        if self.wrapped == "Resize":
            _check_size(self.inner, picture, results.get("img_path"))
        if self.wrapped in _ON_TENSORS:
            picture = functional.to_pil_image(self.inner(functional.pil_to_tensor(picture)))
        else:
            picture = self.inner(picture)
        results["img"] = picture if picture.mode == "RGB" else picture.convert("RGB")
        results["img_shape"] = (picture.height, picture.width)
        return results

    def __repr__(self) -> str:
        return f"{PREFIX}{self.inner!r}"


class TorchvisionContainer(BaseTransform):  # type: ignore[misc]
    """One of torchvision's v2 containers, whose ``transforms`` are those of this registry.

    Args:
        **arguments: of the container that ``wrapped`` names; ``transforms`` is a list of configs
            or of built transforms.

    Raises:
        ConfigError: torchvision refuses an argument.
    """

    wrapped: ClassVar[str]

    def __init__(self, **arguments: Any) -> None:
        given = arguments.get("transforms")
        if isinstance(given, (list, tuple)):
            arguments["transforms"] = [
                TRANSFORMS.build(item) if isinstance(item, Mapping) else item for item in given
            ]
        self.inner = _built(self.wrapped, arguments)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pass ``results`` through those of the inner transforms that are drawn."""
        changed: dict[str, Any] = self.inner(results)
        return changed

    def __repr__(self) -> str:
        inside = ", ".join(map(repr, self.inner.transforms))
        p = getattr(self.inner, "p", None)
        return f"{PREFIX}{self.wrapped}([{inside}]{'' if p is None else f', p={p}'})"


def _built(name: str, arguments: Mapping[str, Any]) -> Any:
    """torchvision's transform ``name``, its words turned into what it takes."""
    worded = {key: _WORDS[key](name, value) if key in _WORDS else value
              for key, value in arguments.items()}
    if name == "RandomErasing" and worded.get("value") == "random":
        raise ConfigError(
            f"{PREFIX}{name}: value", got="'random'", expected="a number or three, 0 to 255",
            do="TimmRandomErasing(mode='pixel') erases with noise of the pictures' own spread")
    size = worded.get("size")
    if any(isinstance(side, int) and side < 1
           for side in (size if isinstance(size, (list, tuple)) else [size])):
        raise ConfigError(f"{PREFIX}{name}: size", got=size, expected="pixels, at least 1")
    try:
        return getattr(v2, name)(**worded)
    except (TypeError, ValueError) as error:
        spelt = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise ConfigError(f"{PREFIX}{name}({spelt}): {error}") from error


def _check_size(resize: Any, picture: Image.Image, path: object) -> None:
    """Refuse a picture so thin that a side would grow beyond all memory, or shrink to nothing."""
    if resize.size is not None and len(resize.size) > 1:
        return
    shorter, longer = sorted(picture.size)
    scale = min([size[0] / shorter for size in [resize.size] if size is not None]
                + [most / longer for most in [resize.max_size] if most is not None])
    if shorter * scale < 1 or shorter * longer * scale ** 2 > _MOST_PIXELS:
        raise DataError(f"{path or 'the picture'}: {picture.width} x {picture.height} pixels are "
                        f"too thin to be scaled by {scale:.3g}", got=f"{resize}",
                        do="cut it into pieces, or leave it out")


def _interpolation(name: str, value: Any) -> v2.InterpolationMode:
    word = _BY_NUMBER.get(value, value) if type(value) is int else value
    try:
        return v2.InterpolationMode(word)
    except ValueError:
        raise ConfigError(f"{PREFIX}{name}: interpolation", got=repr(value),
                          expected="one of " + ", ".join(_BY_NUMBER.values())) from None


def _fill(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return list(ImageColor.getrgb(value)[:3])
    except ValueError:
        raise ConfigError(f"{PREFIX}{name}: fill", got=repr(value),
                          expected="a number, three, or a colour such as 'white' or '#7c7468'"
                          ) from None


def _policy(name: str, value: Any) -> v2.AutoAugmentPolicy:
    try:
        return v2.AutoAugmentPolicy(value)
    except ValueError:
        known = ", ".join(policy.value for policy in v2.AutoAugmentPolicy)
        raise ConfigError(f"{PREFIX}{name}: policy", got=repr(value),
                          expected=f"one of {known}") from None


_WORDS: dict[str, Callable[[str, Any], Any]] = {
    "interpolation": _interpolation, "fill": _fill, "policy": _policy,
}


def _wrapper_of(name: str, base: type[BaseTransform]) -> type[BaseTransform]:
    """A class that takes the arguments of torchvision's ``name``, registered under its name."""
    original = getattr(v2, name)

    def __init__(self: Any, **arguments: Any) -> None:
        base.__init__(self, **arguments)

    # The check of configs reads the arguments from here.
    __init__.__signature__ = inspect.signature(  # type: ignore[attr-defined]
        original.__init__)
    body = {"wrapped": name, "__init__": __init__, "__module__": __name__,
            "__doc__": f"torchvision.transforms.v2.{name} at work on ``results['img']``."}
    made: type[BaseTransform] = type(name, (base,), body)
    TRANSFORMS.register_module(name=PREFIX + name, module=made)
    return made


# By name in this module, so that a worker process that is started afresh finds them.
globals().update({name: _wrapper_of(name, TorchvisionTransform) for name in NAMES})
globals().update({name: _wrapper_of(name, TorchvisionContainer) for name in CONTAINERS})
