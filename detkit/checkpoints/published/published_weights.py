"""The record of one published weights file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlparse

# The statistics that most weights were trained with: RGB, scale 0 to 255.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
INCEPTION_MEAN = INCEPTION_STD = (127.5, 127.5, 127.5)

_HUB_SCHEME = "hf-hub:"


@dataclass(frozen=True)
class PublishedWeights:
    """Where published weights are, and what a model needs to use them.

    Args:
        name: such as 'efficientnet_lite0.lukemelas'.
        backbone: registered type of the backbone, such as 'EfficientNet'.
        arch: value of its ``arch``, or of ``name`` of timm's models.
        source: a file of an installed package ('PACKAGE/FOLDER/FILE'), a URL, or a repository
            of the Hugging Face hub ('hf-hub:OWNER/NAME').
        layout: name of the file's layout, as ``detkit.models.weights`` knows it.
        license: of the weights, as published.
        reference: where the weights are described.
        mean, std: of the input, RGB, scale 0 to 255.
        backbone_args: arguments of the backbone that the weights were trained with.
        sha256: of the file: all 64 digits, or the first ones where only those are published;
            None if none are.
        top1: published accuracy on ImageNet-1k in percent; None if the source has none.
    """

    name: str
    backbone: str
    arch: str
    source: str
    layout: str
    license: str
    reference: str
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    backbone_args: Mapping[str, Any] = field(default_factory=dict)
    sha256: str | None = None
    top1: float | None = None

    def conflicts(self, args: Mapping[str, Any]) -> list[str]:
        """The names of ``backbone_args`` that ``args`` has with another value; None is no value."""
        return [name for name, value in self.backbone_args.items()
                if args.get(name) is not None and args[name] != value]

    @property
    def url(self) -> str | None:
        """The URL of the file; None if it is in a package or in the hub."""
        return self.source if urlparse(self.source).scheme in ("http", "https") else None

    @property
    def hub_repository(self) -> str | None:
        """The repository in the Hugging Face hub; None if the file is elsewhere."""
        is_hub = self.source.startswith(_HUB_SCHEME)
        return self.source.removeprefix(_HUB_SCHEME) if is_hub else None

    @property
    def package(self) -> str | None:
        """The import name of the package that has the file; None if the file is elsewhere."""
        is_elsewhere = self.url is not None or self.hub_repository is not None
        return None if is_elsewhere else self.source.partition("/")[0]

    @property
    def file_name(self) -> str:
        """The published name of the file; in the hub, where all have one name, ``name``."""
        if self.hub_repository is not None:
            return f"{self.name}.safetensors"
        return PurePosixPath(urlparse(self.source).path).name


def hub_source(repository: str) -> str:
    """The ``source`` of a file in a repository of the Hugging Face hub."""
    return _HUB_SCHEME + repository
