"""timm's augmentations of PIL images, which the published recipes of most backbones use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmcv.transforms import BaseTransform
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional

from detkit.errors import ConfigError
from detkit.registry import TRANSFORMS

# Of ImageNet, 0..255.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_AUTOAUGMENT_POLICIES = ("original", "originalr", "v0", "v0r", "3a")
_NUMBER = r"\d+(?:\.\d*)?"
# timm ignores a section without a number, and fails at others with a bare assertion.
_SECTIONS = {
    "rand": ("m9, n2, p0.5, mstd0.5, mmax10, inc1, tweights",
             rf"[mn]\d+|p{_NUMBER}|mstd{_NUMBER}|mmax\d+|inc[01]|t(?:weights|3aw?)"),
    "augmix": ("m3, w3, d2, a1.0, b0, mstd0.5",
               rf"[mwd]\d+|a{_NUMBER}|b[01]|mstd{_NUMBER}"),
    **{name: ("mstd0.5", rf"mstd{_NUMBER}") for name in _AUTOAUGMENT_POLICIES},
}
_FACTORIES = {"rand": "rand_augment_transform", "augmix": "augment_and_mix_transform"}
MODES = ("const", "rand", "pixel")


@TRANSFORMS.register_module()
class TimmAutoAugment(BaseTransform):  # type: ignore[misc]
    """RandAugment, AutoAugment or AugMix by a policy string of timm.

    Random numbers are those of Python and numpy, as in timm.

    Args:
        policy: as timm's ``--aa``: 'rand-m9-mstd0.5-inc1', 'original-mstd0.5', 'augmix-m5-w4-d2'.
        mean: three numbers, 0..255: the fill color of areas that a geometric operation uncovers.
        img_size: shorter side of the network input in pixels; translations are up to 45 % of it,
            as in timm's training script.
        interpolation: 'bilinear', 'bicubic' or 'random' for both.

    Raises:
        ConfigError: timm does not know the policy or the interpolation.
    """

    def __init__(
        self,
        policy: str = "rand-m9-mstd0.5-inc1",
        mean: Sequence[float] = MEAN,
        img_size: int = 224,
        interpolation: str = "random",
    ) -> None:
        from timm.data import auto_augment

        self.policy = policy
        self.mean = tuple(mean)
        self.img_size = img_size
        self.interpolation = interpolation
        _check_policy(policy)
        modes = {"bilinear": Image.Resampling.BILINEAR,
                 "bicubic": Image.Resampling.BICUBIC}
        if interpolation not in (*modes, "random"):
            raise ConfigError("TimmAutoAugment: interpolation", got=repr(interpolation),
                              expected="'bilinear', 'bicubic' or 'random'")
        hparams: dict[str, Any] = {
            "img_mean": tuple(min(255, round(value)) for value in self.mean),
            "translate_const": int(img_size * 0.45),
        }
        if policy.startswith("augmix"):
            hparams["translate_pct"] = 0.3
        if interpolation in modes:
            hparams["interpolation"] = modes[interpolation]
        method = policy.split("-")[0]
        factory = getattr(auto_augment, _FACTORIES.get(method, "auto_augment_transform"))
        try:
            self.inner = factory(policy, hparams)
        except (AssertionError, KeyError, ValueError) as error:
            raise ConfigError(f"TimmAutoAugment: policy '{policy}': {error!r}") from error
        for operation in _iter_operations(self.inner):
            if operation.name.startswith("Posterize"):
                operation.aug_fn = _posterize

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace the image by the augmented one, of the same size."""
        results["img"] = self.inner(_get_image(results, "TimmAutoAugment"))
        return results

    def __repr__(self) -> str:
        return (f"{type(self).__name__}(policy={self.policy!r}, mean={self.mean}, "
                f"img_size={self.img_size}, interpolation={self.interpolation!r})")


@TRANSFORMS.register_module()
class TimmRandomErasing(BaseTransform):  # type: ignore[misc]
    """timm's random erasing, for an image that is not yet normalized.

    timm erases after normalization: with the mean (mode 'const') or with noise of the mean and
    standard deviation ('rand': one color, 'pixel': per pixel). Therefore the image is normalized,
    erased and converted back to 0..255, which leaves other pixels unchanged; noise is clipped to
    0..255. Random numbers are those of Python and, for the noise, of torch.

    Args:
        probability: of erasing.
        mode: 'const', 'rand' or 'pixel'.
        min_area, max_area: area of a rectangle as a fraction of the image.
        min_aspect: minimum of height / width; the maximum is 1 / min_aspect.
        min_count, max_count: number of rectangles; max_count None means min_count.
        mean, std: three numbers each, 0..255, those of the model's data preprocessor.

    Raises:
        ConfigError: the mode is unknown, or a probability or area is not in 0..1.

    Source: Random Erasing (arXiv 1708.04896), timm.data.random_erasing.
    """

    def __init__(
        self,
        probability: float = 0.25,
        mode: str = "pixel",
        min_area: float = 0.02,
        max_area: float = 1 / 3,
        min_aspect: float = 0.3,
        min_count: int = 1,
        max_count: int | None = None,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        from timm.data.random_erasing import RandomErasing

        if mode not in MODES:
            raise ConfigError("TimmRandomErasing: mode", got=repr(mode),
                              expected=f"one of {', '.join(MODES)}")
        if not 0 <= probability <= 1:
            raise ConfigError("TimmRandomErasing: probability", got=probability, expected="0 to 1")
        if not 0 < min_area <= max_area <= 1 or not 0 < min_aspect <= 1:
            raise ConfigError(
                "TimmRandomErasing: areas and aspect",
                got=f"min_area={min_area:g}, max_area={max_area:g}, min_aspect={min_aspect:g}",
                expected="0 < min_area <= max_area <= 1 and 0 < min_aspect <= 1")
        self.mean, self.std = tuple(mean), tuple(std)
        self._mean, self._std = (torch.tensor(value).reshape(3, 1, 1) for value in (mean, std))
        self.inner = RandomErasing(
            probability=probability, min_area=min_area, max_area=max_area, min_aspect=min_aspect,
            mode=mode, min_count=min_count, max_count=max_count, device="cpu")

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Erase rectangles of the image."""
        image = _get_image(results, "TimmRandomErasing")
        pixels = functional.pil_to_tensor(image).float()
        erased = self.inner((pixels - self._mean) / self._std) * self._std + self._mean
        results["img"] = functional.to_pil_image(erased.round().clamp(0, 255).to(torch.uint8))
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r}, mean={self.mean}, std={self.std})"


def _iter_operations(inner: Any) -> Iterator[Any]:
    """The operations of an augmentation of timm, of any of its three types."""
    if hasattr(inner, "policy"):
        for steps in inner.policy:
            yield from steps
    else:
        yield from inner.ops


def _posterize(image: Image.Image, bits: int, **_: Any) -> Image.Image:
    """Keep the highest ``bits`` of each value; 0 bits give a black image.

    timm draws 0 bits at magnitude 10 with 'inc1', and at magnitudes below 2.5 without. Pillow
    rejects 0 bits since version 13, and gave a black image before.
    """
    if bits >= 8:
        return image
    return ImageOps.posterize(image, bits) if bits > 0 else Image.new(image.mode, image.size)


def _check_policy(policy: Any) -> None:
    method, *sections = policy.split("-") if isinstance(policy, str) else [""]
    if method not in _SECTIONS:
        raise ConfigError(
            "TimmAutoAugment: policy", got=repr(policy),
            expected=f"{', '.join(_SECTIONS)} and sections, such as 'rand-m9-mstd0.5-inc1'")
    example, pattern = _SECTIONS[method]
    for section in sections:
        if not re.fullmatch(pattern, section):
            raise ConfigError(f"TimmAutoAugment: policy '{policy}'", got=f"the section '{section}'",
                              expected=f"sections of '{method}', such as {example}")


def _get_image(results: dict[str, Any], name: str) -> Image.Image:
    image = results["img"]
    if not isinstance(image, Image.Image):
        raise ConfigError(f"{name} expects a PIL image", got=f"a {type(image).__name__}",
                          hint="begin the pipeline with LoadClsImage")
    return image
