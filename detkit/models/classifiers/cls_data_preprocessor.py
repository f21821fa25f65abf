"""Pictures of one size into a normalised batch on the model's device."""

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
    """Stack pictures, bring them to the device and normalise them: ``(pixel - mean) / std``.

    Args:
        mean: of each channel, RGB, on the scale 0..255; one number serves all. None is 0.
        std: as ``mean``, each above 0. None is 1.

    Raises:
        ConfigError: a mean or std that is no list of numbers, or lists that differ in length.
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
        # Not persistent: they are the config's, and a checkpoint has it.
        self.register_buffer("mean", torch.tensor(means).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(stds).view(-1, 1, 1), persistent=False)

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Make a batch.

        Args:
            data: ``inputs``, pictures (C, H, W) of one size as a list, or (B, C, H, W), RGB,
                pixels 0..255, uint8 or float; maybe ``data_samples``.
            training: changes nothing.

        Returns:
            ``inputs``, (B, C, H, W) float32 on the device; ``data_samples`` as they were given,
            where they were, or None: their labels go to the device together, in the model.

        Raises:
            DataError: no picture, pictures of several sizes, or other channels than the mean's.
        """
        batch = _stack_images(data["inputs"]).to(self.device, non_blocking=True)
        channels = max(len(self.mean), len(self.std))
        if batch.ndim != 4 or channels not in (1, batch.shape[1]):
            raise DataError(
                "ClsDataPreprocessor: pictures", got=tuple(batch.shape),
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
    """(B, C, H, W) of pictures (C, H, W)."""
    if isinstance(images, Tensor):
        return images
    if not images:
        raise DataError("ClsDataPreprocessor: the batch has no picture")
    sizes = {tuple(image.shape): None for image in images}
    if len(sizes) > 1:
        size_text = ", ".join(" x ".join(map(str, size)) for size in list(sizes)[:4])
        raise DataError(
            "the pictures of a batch differ in size",
            got=f"{size_text} (channels x height x width)", expected="one size",
            hint="end the pipeline, before PackInputs, with a crop to one size, such as "
            "torchvision/RandomResizedCrop to train and torchvision/CenterCrop to test",
        )
    return torch.stack(list(images))
