"""Stack images of one size into a normalized batch on the model's device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from detkit.errors import ConfigError, DataError
from detkit.models.validation import is_number
from detkit.registry import MODELS


@MODELS.register_module()
class ClsDataPreprocessor(BaseDataPreprocessor):  # type: ignore[misc]  # mmengine has no types
    """Stack images, move them to the device and normalize them: ``(pixel - mean) / std``.

    Args:
        mean: of each channel, RGB, in 0..255; one number for all channels. None means 0.
        std: as ``mean``, each above 0. None means 1.

    Raises:
        ConfigError: a mean or std that is not a list of numbers, or lists of different length.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        means = _channel_values("mean", [0.0] if mean is None else mean)
        stds = _channel_values("std", [1.0] if std is None else std)
        if min(stds) <= 0:
            raise ConfigError("ClsDataPreprocessor: std", got=list(stds),
                              expected="numbers above 0")
        if len(means) != len(stds) and 1 not in (len(means), len(stds)):
            raise ConfigError("ClsDataPreprocessor: mean and std differ in length",
                              got=f"{len(means)} and {len(stds)}",
                              expected="one number for each channel in both")
        # Not persistent: they are in the config, which a checkpoint holds.
        self.register_buffer("mean", torch.tensor(means).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(stds).view(-1, 1, 1), persistent=False)

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Build a batch.

        Args:
            data: ``inputs``, a list of images (C, H, W) of one size, or (B, C, H, W), RGB,
                pixels 0..255, uint8 or float; optionally ``data_samples``.
            training: not used.

        Returns:
            ``inputs``, (B, C, H, W) float32 on the device; ``data_samples`` unchanged, or None. The
            model moves their labels to the device, in one copy.

        Raises:
            DataError: no image, several image sizes, or another number of channels than ``mean``.
        """
        batch = _stack_images(data["inputs"]).to(self.device, non_blocking=True)
        channels = max(len(self.mean), len(self.std))
        if batch.ndim != 4 or channels not in (1, batch.shape[1]):
            raise DataError(
                "ClsDataPreprocessor: images", got=tuple(batch.shape),
                expected=f"(B, {'C' if channels == 1 else channels}, H, W)",
                hint="end the pipeline with PackInputs",
            )
        batch = (batch.float() - self.mean.float()).div_(self.std.float())
        return dict(inputs=batch, data_samples=data.get("data_samples"))


def _channel_values(name: str, numbers: object) -> tuple[float, ...]:
    if isinstance(numbers, (list, tuple)) and numbers and all(map(is_number, numbers)):
        return tuple(float(number) for number in numbers)
    raise ConfigError(f"ClsDataPreprocessor: {name}", got=repr(numbers),
                      expected="a list of numbers, one for each channel")


def _stack_images(images: Tensor | Sequence[Tensor]) -> Tensor:
    """Stack images (C, H, W) into (B, C, H, W)."""
    if isinstance(images, Tensor):
        return images
    if not images:
        raise DataError("ClsDataPreprocessor: the batch has no images")
    sizes = {tuple(image.shape): None for image in images}
    if len(sizes) > 1:
        size_text = ", ".join(" x ".join(map(str, size)) for size in list(sizes)[:4])
        raise DataError(
            "the images of a batch differ in size",
            got=f"{size_text} (channels x height x width)", expected="one size",
            hint="crop to one size before PackInputs, such as with "
            "torchvision/RandomResizedCrop for training and torchvision/CenterCrop for testing",
        )
    return torch.stack(list(images))
