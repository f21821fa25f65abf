"""Loading of classifier checkpoints into ImageClassifier and into detectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from convnextv2_models import LAYOUTS as CONVNEXT_LAYOUTS
from convnextv2_models import randomized_model as randomized_convnextv2
from efficientnet_models import timm_model as timm_efficientnet
from swin_models import randomized_model as randomized_swin
from timm_files import randomized_model
from torch import Tensor, nn

from detkit.errors import ConfigError, WeightsError
from detkit.models.backbones import ConvNeXtV2, EfficientNet, SwinTransformer
from detkit.models.weights.backbone_weights import load_backbone_weights
from detkit.models.weights.classifier_weights import initialize_classifier, load_classifier_weights
from detkit.registry import MODELS

State = dict[str, Any]
SMALL_SWIN = dict(embed_dim=12, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2))
BACKBONES: dict[str, dict[str, Any]] = {
    "swin": dict(type="SwinTransformer", out_indices=(3,), embed_dims=12, depths=(1, 1, 1, 1),
                 num_heads=(1, 1, 2, 2)),
    "convnextv2": dict(type="ConvNeXtV2", arch="atto", out_indices=(3,), output_norms=False),
    "efficientnet": dict(type="EfficientNet", out_indices=(3,), head_conv=True),
    "network": dict(type="TimmNetwork", name="test_vit"),
    "teaching": dict(type="ClassicNetwork", name="resnet18"),
}
HEADS: dict[str, dict[str, Any]] = {
    "swin": dict(in_channels=96),
    "convnextv2": dict(in_channels=320, norm_cfg=dict(type="LN", eps=1e-6)),
    "efficientnet": dict(in_channels=1280),
    "network": dict(in_channels=64),
    "teaching": dict(in_channels=512),
}
NAMES = list(BACKBONES)


def mark_slow(names: list[str], quick: tuple[str, ...]) -> list[Any]:
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow)
            for name in names]


IMAGE_SIDES = {"network": 160}


def classifier(name: str, num_classes: int = 10, **head: Any) -> Any:
    torch.manual_seed(1)
    model = MODELS.build(dict(
        type="ImageClassifier", backbone=BACKBONES[name],
        head={"type": "LinearClsHead", "num_classes": num_classes, **HEADS[name], **head}))
    model.init_weights()
    return model.eval()


def reference_model(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == "swin":
        return randomized_swin(
            timm.create_model("swin_tiny_patch4_window7_224", num_classes=10, strict_img_size=False,
                              **SMALL_SWIN))
    if name == "convnextv2":
        return randomized_convnextv2(timm.create_model("convnextv2_atto", num_classes=10))
    if name == "efficientnet":
        model: Any = timm_efficientnet("efficientnet_b0")
        model.reset_classifier(10)
        return model
    if name == "teaching":
        return torchvision.models.resnet18(num_classes=10).eval()
    return randomized_model("test_vit", num_classes=10)


def make_image(name: str) -> Tensor:
    side = IMAGE_SIDES.get(name, 224 if name == "swin" else 64)
    return torch.randn((2, 3, side, side), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", mark_slow(NAMES, ("swin", "convnextv2", "network")))
def test_logits_match_source_library_after_loading(name: str, tmp_path: Path) -> None:
    model, loaded = reference_model(name), classifier(name)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "file.pth")
    initialize_classifier(loaded, dict(type="Pretrained", checkpoint=str(tmp_path / "file.pth")))
    report = load_classifier_weights(loaded, tmp_path / "file.pth")
    assert report.missing_keys == () and report.notes == ()
    assert {"head.fc.weight", "head.fc.bias"} <= set(report.loaded)
    with torch.no_grad():
        assert torch.allclose(loaded(make_image(name)), model(make_image(name)), atol=1e-4)


@pytest.mark.parametrize("name", mark_slow(NAMES, ("swin", "convnextv2")))
def test_head_for_other_num_classes_is_not_loaded_and_reported(name: str) -> None:
    loaded, state = classifier(name, num_classes=6), reference_model(name).state_dict()
    before = loaded.head.fc.weight.detach().clone()
    report = load_classifier_weights(loaded, state)
    assert report.missing_keys == ("head.fc.weight", "head.fc.bias")
    assert "initialized: the file's is for 10 classes, the model's for 6" in str(
        report)
    assert torch.equal(loaded.head.fc.weight, before)
    ten_class_model = classifier(name)
    load_classifier_weights(ten_class_model, state)
    with torch.no_grad():  # backbone and norm are present
        x = make_image(name)
        assert torch.equal(loaded.extract_feat(x), ten_class_model.extract_feat(x))
        if name == "convnextv2":
            assert torch.equal(loaded.head.norm.weight, state["head.norm.weight"])


KEYS = {  # keys of the final norm or last layer, and of a middle layer
    "swin": ("norm.weight", "layers.2.blocks.0.mlp.fc1.weight"),
    "convnextv2": ("head.norm.weight", "stages.2.blocks.1.mlp.fc1.weight"),
    "efficientnet": ("classifier.weight", "blocks.3.1.conv_pwl.weight"),
    "network": ("norm.weight", "blocks.1.mlp.fc1.weight"),
    "teaching": ("fc.weight", "layer2.0.conv1.weight"),
}
FAULTS: dict[str, tuple[Callable[[State, str], Any], str]] = {
    "missing": (lambda s, k: s.pop(k), "missing"),
    "misshapen": (lambda s, k: s.update({k: s[k][..., :-1]}), "shapes differ: .*'KEY' of the file"),
    "more": (lambda s, k: s.update({"neck.weight": s[k]}), "unexpected neck.weight"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", [0, 1], ids=["end", "middle"])
@pytest.mark.parametrize(
    "name", mark_slow(["swin", "convnextv2", "efficientnet", "teaching"], ("swin",)))
def test_mismatched_checkpoint_is_rejected_and_loads_nothing(
    name: str, place: int, fault: str
) -> None:
    loaded, state, key = classifier(name), dict(
        reference_model(name).state_dict()), KEYS[name][place]
    FAULTS[fault][0](state, key)
    before = {param: value.clone() for param, value in loaded.state_dict().items()}
    with pytest.raises(WeightsError, match=FAULTS[fault][1].replace("KEY", key)) as error:
        load_classifier_weights(loaded, state)
    assert "\n" not in str(error.value) and "nothing was loaded" in str(error.value)
    for param, value in loaded.state_dict().items():
        assert torch.equal(value, before[param]), param


@pytest.mark.parametrize(
    "layout", mark_slow(list(CONVNEXT_LAYOUTS), ("mmpretrain", "facebookresearch FCMAE")))
def test_convnextv2_layouts_load_norm_and_head(layout: str) -> None:
    model, loaded = reference_model("convnextv2"), classifier("convnextv2")
    report = load_classifier_weights(loaded, CONVNEXT_LAYOUTS[layout](model.state_dict()))
    assert report.layout == layout
    if layout.endswith("FCMAE"):
        assert set(report.missing_keys) == {
            "head.norm.weight", "head.norm.bias", "head.fc.weight", "head.fc.bias"
        }
        assert "the head is left as initialized: the file has no head" in str(report)
        return
    assert report.missing_keys == ()
    with torch.no_grad():
        x = make_image("convnextv2")
        assert torch.allclose(loaded(x), model(x), atol=1e-4)


def test_missing_norm_after_pooling_is_rejected_with_suggestion() -> None:
    with pytest.raises(WeightsError, match="unexpected head.norm.weight.*output_norms=False"):
        load_classifier_weights(classifier("convnextv2", norm_cfg=None),
                                reference_model("convnextv2").state_dict())


def test_mlp_head_is_not_loaded_from_linear_head() -> None:
    loaded = classifier("swin", type="MLPClsHead", hidden_channels=(8,))
    report = load_classifier_weights(loaded, reference_model("swin").state_dict())
    assert "one linear layer, and the model's has more" in str(report)
    assert all(name.startswith("head.") for name in report.missing_keys) and report.missing_keys
    assert "backbone.norm3.weight" in report.loaded


def save_checkpoint(model: Any, folder: Path) -> Path:
    """A checkpoint as saved by a run."""
    torch.save({"state_dict": model.state_dict(), "meta": {}}, folder / "best.pth")
    return folder / "best.pth"


@pytest.mark.parametrize("name", mark_slow(NAMES, ("swin", "network")))
def test_detkit_checkpoint_loads_and_other_classes_skip_last_layer(
    name: str, tmp_path: Path
) -> None:
    loaded = classifier(name)
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    file = save_checkpoint(loaded, tmp_path)
    again = classifier(name)
    report = load_classifier_weights(again, file)
    assert report.missing_keys == report.unexpected_keys == report.notes == ()
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    six = load_classifier_weights(classifier(name, 6), file)
    assert six.missing_keys == ("head.fc.weight", "head.fc.bias") and len(six.notes) == 1


def test_loss_buffers_are_never_loaded(tmp_path: Path) -> None:
    weights = dict(type="SoftCrossEntropyLoss", class_weight=[1.0] * 10)
    loaded = classifier("swin", loss=weights)
    report = load_classifier_weights(classifier("swin"), save_checkpoint(loaded, tmp_path))
    assert report.notes == () and report.missing_keys == ()
    load_classifier_weights(loaded, save_checkpoint(classifier("swin"), tmp_path))


def test_timm_backbone_loads_head_only_without_layers_between() -> None:
    def of(name: str, channels: int, **more: Any) -> Any:
        return MODELS.build(dict(
            type="ImageClassifier", backbone=dict(type="TimmBackbone", name=name, **more),
            head=dict(type="LinearClsHead", num_classes=10, in_channels=channels))).eval()

    resnet, file = of("test_resnet", 96), randomized_model("test_resnet", num_classes=10)
    report = load_classifier_weights(resnet, file.state_dict())
    assert report.missing_keys == report.notes == ()
    with torch.no_grad():
        x = torch.randn(1, 3, 64, 64)
        assert torch.allclose(resnet(x), file(x), atol=1e-5)
    vit = of("test_vit", 64, strides=None)
    report = load_classifier_weights(vit, randomized_model("test_vit", num_classes=10).state_dict())
    assert "(norm.weight, ...) that this backbone drops; TimmNetwork has them" in str(report)
    assert report.missing_keys == ("head.fc.weight", "head.fc.bias")


@pytest.mark.parametrize("content, words", [
    ({}, "an empty dict"),
    ({"state_dict": {"a.weight": torch.ones(1)}}, "not the names of a Swin Transformer"),
    ({"backbone.a": torch.ones(1), "head.fc.weight": torch.ones(1)}, "names of a Swin"),
], ids=["empty", "other", "detkit"])
def test_non_classifier_checkpoint_is_rejected(content: State, words: str) -> None:
    with pytest.raises(WeightsError, match=words):
        load_classifier_weights(classifier("swin"), content)


def test_pretrained_step_without_checkpoint_is_rejected() -> None:
    with pytest.raises(ConfigError, match="ImageClassifier: init_cfg.*checkpoint=FILE"):
        initialize_classifier(classifier("swin"), dict(type="Pretrained"))


DETECTORS: dict[str, tuple[dict[str, Any], dict[str, Any], Callable[..., nn.Module],
                           dict[str, Any]]] = {
    # The classifier's backbone and head, and the detector's backbone.
    "swin": (dict(type="SwinTransformer", arch="micro", out_indices=(3,)), dict(in_channels=384),
             SwinTransformer, dict(arch="micro")),
    "convnextv2": (dict(type="ConvNeXtV2", arch="atto", out_indices=(3,), output_norms=False),
                   HEADS["convnextv2"], ConvNeXtV2, dict(arch="atto")),
    "efficientnet": (dict(type="EfficientNet", arch="micro", out_indices=(3,), head_conv=True),
                     dict(in_channels=None), EfficientNet, dict(arch="micro")),
}


@pytest.mark.parametrize("indices", [
    (0, 1, 2, 3), pytest.param((1, 2, 3), marks=pytest.mark.slow)], ids=str)
@pytest.mark.parametrize("name", DETECTORS)
def test_classifier_checkpoint_initializes_detector_backbone(
    name: str, indices: tuple[int, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    backbone, head, backbone_type, arguments = DETECTORS[name]
    channels = head["in_channels"] or EfficientNet("micro", head_conv=True).feature_channels[-1]
    model = MODELS.build(dict(type="ImageClassifier", backbone=backbone,
                              head={"type": "LinearClsHead", "num_classes": 3, **head,
                                    "in_channels": channels}))
    model.init_weights()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.eval()
    file = save_checkpoint(model, tmp_path)
    body: Any = backbone_type(out_indices=indices,
                              **arguments,
                              init_cfg=dict(type="Pretrained", checkpoint=str(file))).eval()
    body.init_weights()
    report = load_backbone_weights(body, file)
    norms = {f"norm{i}.{leaf}" for i in indices for leaf in ("weight", "bias")}
    expected_kept = {"swin": norms - {"norm3.weight", "norm3.bias"}, "convnextv2": norms,
                     "efficientnet": set()}[name]
    assert set(report.missing_keys) == expected_kept
    assert {"head.fc.weight", "head.fc.bias"} <= set(report.unexpected_keys)
    assert ("head_conv.conv.weight" in report.unexpected_keys) == (name == "efficientnet")
    # The outputs of stages, before norms and head convolutions.
    image, maps, classifier_maps = torch.randn(1, 3, 64, 64), [], []
    for stages, outputs in ((body.stages, maps), (model.backbone.stages, classifier_maps)):
        for stage in stages:
            stage.register_forward_hook(
                lambda _, __, out, outputs=outputs: outputs.append(
                    out[0] if isinstance(out, tuple) else out))
    with torch.no_grad():
        body(image), model(image)
    assert len(maps) == 4
    for actual, other in zip(maps, classifier_maps, strict=True):
        assert torch.equal(actual, other)
