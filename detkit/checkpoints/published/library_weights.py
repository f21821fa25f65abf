"""Published weights that torchvision and timm list, read from the installed libraries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from detkit.checkpoints.download import hash_prefix_in
from detkit.checkpoints.published.published_weights import (
    INCEPTION_MEAN,
    INCEPTION_STD,
    PublishedWeights,
    hub_source,
)

_TORCHVISION_NAMES = {
    "SwinTransformer": {"tiny": "swin_t", "small": "swin_s", "base": "swin_b"},
    "EfficientNet": {
        **{f"b{index}": f"efficientnet_b{index}" for index in range(8)},
        **{f"v2_{size}": f"efficientnet_v2_{size}" for size in "sml"},
    },
    "ClassicNetwork": {
        name: name for name in ("alexnet", "vgg11", "googlenet", "resnet18", "resnet50",
                                "wide_resnet50_2", "resnext50_32x4d", "densenet121")
    },
}
# timm's networks of the EfficientNet class here; its tf_ ones have the padding and eps of the
# official release.
_TIMM_NAMES = {
    **{name: f"efficientnet_{name}"
       for name in (*(f"b{index}" for index in range(8)), *(f"lite{index}" for index in range(5)))},
    **{f"v2_{size}": f"efficientnetv2_{size}" for size in "sml"},
}
# torchvision builds the others, B5 to B7 and V2, with the eps of the official release.
_SMALL_EPS_ARCHS = ("b0", "b1", "b2", "b3", "b4")
_TIMM_TYPES = ("TimmBackbone", "TimmNetwork")


def torchvision_weights(backbone: str) -> Iterator[PublishedWeights]:
    """Torchvision's weights for a backbone class; none for most classes."""
    import torchvision.models

    for arch, model in _TORCHVISION_NAMES.get(backbone, {}).items():
        for entry in torchvision.models.get_model_weights(model):
            preset: Any = entry.transforms()
            version = entry.name.removeprefix("IMAGENET1K_").lower()
            args: dict[str, Any] = {} if backbone != "EfficientNet" else {
                "padding": "symmetric", "norm_eps": 1e-5 if arch in _SMALL_EPS_ARCHS else 1e-3}
            yield PublishedWeights(
                f"{model}.torchvision" + ("" if version == "v1" else f"_{version}"), backbone, arch,
                source=entry.url, layout="torchvision", license="BSD-3-Clause",
                reference=entry.meta.get("recipe", "docs.pytorch.org/vision/stable/models.html"),
                **_statistics(model, preset), backbone_args=args, sha256=hash_prefix_in(entry.url),
                top1=entry.meta["_metrics"]["ImageNet-1K"]["acc@1"])


def timm_efficientnet_weights() -> Iterator[PublishedWeights]:
    """The weights of timm's models that are the same networks as those of ``EfficientNet``."""
    for arch, model in _TIMM_NAMES.items():
        for name in (model, f"tf_{model}"):
            args = ({"padding": "same", "norm_eps": 1e-3} if name.startswith("tf_")
                    else {"padding": "symmetric", "norm_eps": 1e-5})
            for weights in _timm_tags(name):
                yield _timm_record(weights, "EfficientNet", arch, args)


def timm_weights(name: str, backbone: str = "TimmBackbone") -> PublishedWeights | None:
    """The weights of one of timm's models; None if timm has none of this name.

    Args:
        name: of the model, with the tag of the weights, or without for timm's default.
        backbone: 'TimmBackbone' or 'TimmNetwork'.
    """
    import timm

    model, _, tag = name.partition(".")
    if not timm.is_model(model) or (tag and name not in _timm_tags(model)):
        return None
    cfg = timm.get_pretrained_cfg(name)
    if _timm_source(cfg) is None:
        return None
    full_name = f"{cfg.architecture}.{cfg.tag}" if cfg.tag else str(cfg.architecture)
    return _timm_record(full_name, backbone, str(cfg.architecture), {})


def timm_names() -> list[str]:
    """The names of all of timm's models that have weights, with their tags."""
    import timm

    return list(timm.list_pretrained())


def is_timm_type(backbone: str) -> bool:
    """Whether a backbone class takes any model of timm."""
    return backbone in _TIMM_TYPES


def _timm_tags(model: str) -> list[str]:
    import timm

    names = timm.models.get_arch_pretrained_cfgs(model)
    return [name for name in names if _timm_source(timm.get_pretrained_cfg(name)) is not None]


def _timm_record(name: str, backbone: str, arch: str, args: dict[str, Any]) -> PublishedWeights:
    import timm

    cfg: Any = timm.get_pretrained_cfg(name)
    source = _timm_source(cfg)
    assert source is not None
    return PublishedWeights(
        name, backbone, arch, source=source, layout="timm", license=_license(cfg),
        reference=f"huggingface.co/{cfg.hf_hub_id}" if cfg.hf_hub_id else cfg.url,
        mean=_scale(cfg.mean), std=_scale(cfg.std), backbone_args=args,
        sha256=hash_prefix_in(source))


def _license(cfg: Any) -> str:
    """The licence as SPDX writes it."""
    return str(cfg.license or "not stated").replace("apache", "Apache")


def _timm_source(cfg: Any) -> str | None:
    """The URL if its file name has a hash, which the hub does not publish; else the hub."""
    if cfg is None:
        return None
    url = str(cfg.url) if cfg.url and not cfg.custom_load else None
    if url and hash_prefix_in(url):
        return url
    if cfg.hf_hub_id and cfg.custom_load != "hf":
        return hub_source(cfg.hf_hub_id)
    return url


def _statistics(model: str, preset: Any) -> dict[str, tuple[float, float, float]]:
    """Mean and std of the input. torchvision's GoogLeNet changes its input to these first."""
    if model == "googlenet":
        return {"mean": INCEPTION_MEAN, "std": INCEPTION_STD}
    return {"mean": _scale(preset.mean), "std": _scale(preset.std)}


def _scale(values: Any) -> tuple[float, float, float]:
    """Statistics of the scale 0 to 1, for the scale 0 to 255."""
    red, green, blue = (round(255 * float(value), 4) for value in values)
    return red, green, blue
