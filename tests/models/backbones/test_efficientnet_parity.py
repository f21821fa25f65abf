"""The same weights give the same maps and gradients as in timm and torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from efficientnet_models import (
    assert_same,
    make_image,
    timm_maps,
    timm_model,
    torchvision_maps,
    torchvision_model,
)
from torch import nn

from detkit.models.backbones import EfficientNet
from detkit.models.backbones.efficientnet.checkpoint_filter import efficientnet_checkpoint_filter_fn
from detkit.models.weights.backbone_weights import load_backbone_weights

SAME: dict[str, Any] = dict(padding="same")


def slow(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


# Even and odd sizes: 'same' padding is asymmetric for the former only.
SIZES = ((1, 3, 96, 128), (3, 3, 65, 99))


@pytest.mark.parametrize("name, arguments", [
    ("tf_efficientnet_b0", dict(arch="b0", **SAME)),
    ("efficientnet_b3", dict(arch="b3")),
    ("tf_efficientnet_lite0", dict(arch="lite0", **SAME)),
    ("tf_efficientnetv2_s", dict(arch="v2_s", **SAME)),
    slow("efficientnet_b0", dict(arch="b0")),
    slow("efficientnet_b1", dict(arch="b1")),
    slow("tf_efficientnet_b2", dict(arch="b2", **SAME)),
    slow("tf_efficientnet_b3", dict(arch="b3", **SAME)),
    slow("efficientnet_b4", dict(arch="b4")),
    slow("efficientnet_b5", dict(arch="b5", norm_eps=1e-5)),
    slow("tf_efficientnet_b6", dict(arch="b6", **SAME)),
    slow("tf_efficientnet_b7", dict(arch="b7", **SAME)),
    slow("efficientnet_lite0", dict(arch="lite0")),
    slow("tf_efficientnet_lite3", dict(arch="lite3", **SAME)),
    slow("efficientnetv2_s", dict(arch="v2-s", norm_eps=1e-5)),
    slow("tf_efficientnetv2_m", dict(arch="v2_m", **SAME)),
    slow("tf_efficientnetv2_l", dict(arch="v2_l", **SAME)),
])
def test_each_stage_agrees_with_timm_through_its_file(
    name: str, arguments: dict[str, Any], tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    reference = timm_model(name)
    save_file(reference.state_dict(), tmp_path / "net.safetensors")
    model = EfficientNet(**arguments).eval()
    report = load_backbone_weights(model, tmp_path / "net.safetensors")
    assert report.layout == "timm" and report.missing_keys == ()
    for shape in SIZES:
        image = make_image(*shape)
        with torch.no_grad():
            expected = timm_maps(reference, image)
            assert_same(model(image), expected)
        # With gradients, squeeze and excitation has another implementation.
        assert_same(model(image), expected)


@pytest.mark.parametrize("name", [
    "b0", "v2_s",
    *(slow(name) for name in ("b1", "b2", "b3", "b4", "b5", "b6", "b7", "v2_m", "v2_l")),
])
def test_each_stage_agrees_with_torchvision_through_its_file(name: str, tmp_path: Path) -> None:
    reference = torchvision_model(f"efficientnet_{name}")
    torch.save(reference.state_dict(), tmp_path / "net.pth")
    model = EfficientNet(name).eval()
    report = load_backbone_weights(model, tmp_path / "net.pth")
    assert report.layout == "torchvision" and report.missing_keys == ()
    for shape in SIZES:
        image = make_image(*shape)
        with torch.no_grad():
            assert_same(model(image), torchvision_maps(reference, image))


@pytest.mark.parametrize("name, arguments", [
    ("efficientnet_b0", dict(arch="b0")), ("tf_efficientnetv2_s", dict(arch="v2_s", **SAME)),
])
def test_head_conv_matches_timm(name: str, arguments: dict[str, Any]) -> None:
    reference = timm_model(name)
    model = EfficientNet(head_conv=True, out_indices=(3,), **arguments).eval()
    report = load_backbone_weights(model, reference.state_dict())
    assert set(report.unexpected_keys) == {"classifier.weight", "classifier.bias"}
    image = make_image(2, 3, 64, 70)
    with torch.no_grad():
        assert_same(model(image)[1:], [reference.forward_features(image)])  # type: ignore[operator]
    assert model.feature_channels[-1] == 1280 and model.feature_strides == (32, 32)


@pytest.mark.parametrize("wrong", [dict(padding="symmetric", norm_eps=1e-5), dict(norm_eps=1e-5)],
                         ids=["padding", "eps"])
def test_wrong_padding_or_eps_changes_maps(wrong: dict[str, Any]) -> None:
    reference = timm_model("tf_efficientnet_b0")
    model = EfficientNet(**{**SAME, **wrong}).eval()
    load_backbone_weights(model, reference.state_dict())
    image = make_image(1, 3, 96, 128)
    with torch.no_grad(), pytest.raises(AssertionError, match="differs"):
        assert_same(model(image), timm_maps(reference, image))


# In float64, because batch statistics of many layers amplify float32 rounding.
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name, arguments, dtype", [
    ("tf_efficientnet_b0", dict(arch="b0", **SAME), torch.float32),
    slow("efficientnet_b3", dict(arch="b3"), torch.float64),
    slow("tf_efficientnetv2_s", dict(arch="v2_s", **SAME), torch.float64),
    slow("efficientnet_lite0", dict(arch="lite0"), torch.float64),
    slow("tf_efficientnet_lite4", dict(arch="lite4", **SAME), torch.float64),
])
def test_gradients_agree_with_timm_in_both_modes(
    name: str, arguments: dict[str, Any], dtype: torch.dtype, training: bool
) -> None:
    reference = timm_model(name).train(training).to(dtype)
    model = EfficientNet(drop_path_rate=0.0, **arguments).train(training).to(dtype)
    load_backbone_weights(model, reference.state_dict())
    # Batch statistics of at least 3 x 5 x 6 positions at the coarsest stage.
    image = make_image(3, 3, 160, 190).to(dtype)
    maps, expected = model(image), timm_maps(reference, image)
    single = dtype == torch.float32
    assert_same(maps, expected, (1e-3 if training else 1e-4) if single else 1e-9)
    weights = [make_image(*level.shape).to(dtype) for level in expected]
    for outputs in (maps, expected):
        torch.stack([(level * w).mean() for level, w in zip(outputs, weights)]).sum().backward()
    gradients = {key: p.grad for key, p in reference.named_parameters() if p.grad is not None}
    expected_tensors = efficientnet_checkpoint_filter_fn(gradients, model).tensors
    assert set(expected_tensors) == {key for key, _ in model.named_parameters()}
    largest = max(expected_grad.norm() for expected_grad in expected_tensors.values())
    for key, expected_grad in expected_tensors.items():
        got = model.get_parameter(key).grad
        assert got is not None
        # A bias before batch norm has no gradient but rounding.
        slack = largest * (1e-6 if single else 1e-12)
        assert (
            got -
            expected_grad).norm() <= (1e-3 if single else 1e-7) * expected_grad.norm() + slack, key
    if training:
        assert_statistics_agree(model, reference)


def assert_statistics_agree(model: nn.Module, reference: nn.Module) -> None:
    expected_tensors = efficientnet_checkpoint_filter_fn(reference.state_dict(), model).tensors
    names = [key for key in expected_tensors if ".running_" in key or key.endswith("tracked")]
    assert len(names) > 100
    for key in names:
        torch.testing.assert_close(model.get_buffer(key),
                                   expected_tensors[key],
                                   rtol=1e-3,
                                   atol=1e-4)
