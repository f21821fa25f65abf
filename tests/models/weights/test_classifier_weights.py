"""Whole classifiers' files load whole, or are refused by name; a detector begins with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from convnextv2_models import LAYOUTS as CONVNEXT_LAYOUTS
from convnextv2_models import shaken as shaken_convnextv2
from efficientnet_models import timm_model as timm_efficientnet
from swin_models import shaken as shaken_swin
from timm_files import shaken
from torch import Tensor, nn

from detkit.errors import ConfigError, WeightsError
from detkit.models.backbones import ConvNeXtV2, EfficientNet, SwinTransformer
from detkit.models.weights.backbone_weights import load_backbone_weights
from detkit.models.weights.classifier_weights import initialise_classifier, load_classifier_weights
from detkit.registry import MODELS

State = dict[str, Any]
SMALL_SWIN = dict(embed_dim=12, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2))
BACKBONES: dict[str, dict[str, Any]] = {
    "swin": dict(type="SwinTransformer", out_indices=(3,), embed_dims=12, depths=(1, 1, 1, 1),
                 num_heads=(1, 1, 2, 2)),
    "convnextv2": dict(type="ConvNeXtV2", arch="atto", out_indices=(3,), output_norms=False),
    "efficientnet": dict(type="EfficientNet", out_indices=(3,), head_conv=True),
    "network": dict(type="TimmNetwork", name="test_vit"),
    "teaching": dict(type="TeachingNetwork", name="resnet18"),
}
HEADS: dict[str, dict[str, Any]] = {
    "swin": dict(in_channels=96),
    "convnextv2": dict(in_channels=320, norm_cfg=dict(type="LN", eps=1e-6)),
    "efficientnet": dict(in_channels=1280),
    "network": dict(in_channels=64),
    "teaching": dict(in_channels=512),
}
NAMES = list(BACKBONES)


def some_quick(names: list[str], quick: tuple[str, ...]) -> list[Any]:
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow)
            for name in names]


SIDE = {"network": 160}


def classifier(name: str, num_classes: int = 10, **head: Any) -> Any:
    torch.manual_seed(1)
    model = MODELS.build(dict(
        type="ImageClassifier", backbone=BACKBONES[name],
        head={"type": "LinearClsHead", "num_classes": num_classes, **HEADS[name], **head}))
    model.init_weights()
    return model.eval()


def theirs(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == "swin":
        return shaken_swin(timm.create_model("swin_tiny_patch4_window7_224", num_classes=10,
                                             strict_img_size=False, **SMALL_SWIN))
    if name == "convnextv2":
        return shaken_convnextv2(timm.create_model("convnextv2_atto", num_classes=10))
    if name == "efficientnet":
        model: Any = timm_efficientnet("efficientnet_b0")
        model.reset_classifier(10)
        return model
    if name == "teaching":
        return torchvision.models.resnet18(num_classes=10).eval()
    return shaken("test_vit", num_classes=10)


def picture(name: str) -> Tensor:
    side = SIDE.get(name, 224 if name == "swin" else 64)
    return torch.randn((2, 3, side, side), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", some_quick(NAMES, ("swin", "convnextv2", "network")))
def test_another_librarys_classifier_gives_its_logits_here(name: str, tmp_path: Path) -> None:
    model, ours = theirs(name), classifier(name)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "file.pth")
    initialise_classifier(ours, dict(type="Pretrained", checkpoint=str(tmp_path / "file.pth")))
    report = load_classifier_weights(ours, tmp_path / "file.pth")
    assert report.kept == () and report.notes == ()
    assert {"head.fc.weight", "head.fc.bias"} <= set(report.loaded)
    with torch.no_grad():
        assert torch.allclose(ours(picture(name)), model(picture(name)), atol=1e-4)


@pytest.mark.parametrize("name", some_quick(NAMES, ("swin", "convnextv2")))
def test_a_head_for_another_number_of_classes_is_left_and_said(name: str) -> None:
    ours, state = classifier(name, num_classes=6), theirs(name).state_dict()
    before = ours.head.fc.weight.detach().clone()
    report = load_classifier_weights(ours, state)
    assert report.kept == ("head.fc.weight", "head.fc.bias")
    assert "last layer is left as initialised: the file's is for 10 classes, this one for 6" in str(
        report)
    assert torch.equal(ours.head.fc.weight, before)
    ten = classifier(name)
    load_classifier_weights(ten, state)
    with torch.no_grad():  # backbone and norm are there
        x = picture(name)
        assert torch.equal(ours.extract_feat(x), ten.extract_feat(x))
        if name == "convnextv2":
            assert torch.equal(ours.head.norm.weight, state["head.norm.weight"])


KEYS = {  # of the final norm or last layer, and of something in the middle
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
    "name", some_quick(["swin", "convnextv2", "efficientnet", "teaching"], ("swin",)))
def test_a_file_that_does_not_fit_is_refused_by_name_and_loads_nothing(
    name: str, place: int, fault: str
) -> None:
    ours, state, key = classifier(name), dict(theirs(name).state_dict()), KEYS[name][place]
    FAULTS[fault][0](state, key)
    before = {one: value.clone() for one, value in ours.state_dict().items()}
    with pytest.raises(WeightsError, match=FAULTS[fault][1].replace("KEY", key)) as error:
        load_classifier_weights(ours, state)
    assert "\n" not in str(error.value) and "nothing was loaded" in str(error.value)
    for one, value in ours.state_dict().items():
        assert torch.equal(value, before[one]), one


@pytest.mark.parametrize(
    "layout", some_quick(list(CONVNEXT_LAYOUTS), ("mmpretrain", "facebookresearch FCMAE")))
def test_every_layout_of_convnextv2_brings_norm_and_head_where_it_has_them(layout: str) -> None:
    model, ours = theirs("convnextv2"), classifier("convnextv2")
    report = load_classifier_weights(ours, CONVNEXT_LAYOUTS[layout](model.state_dict()))
    assert report.layout == layout
    if layout.endswith("FCMAE"):
        assert set(report.kept) == {"head.norm.weight", "head.norm.bias", "head.fc.weight",
                                    "head.fc.bias"}
        assert "the head is left as initialised: the file has no head" in str(report)
        return
    assert report.kept == ()
    with torch.no_grad():
        x = picture("convnextv2")
        assert torch.allclose(ours(x), model(x), atol=1e-4)


def test_a_norm_behind_the_pooling_that_ours_lacks_is_refused_with_what_to_do() -> None:
    with pytest.raises(WeightsError, match="unexpected head.norm.weight.*output_norms=False"):
        load_classifier_weights(classifier("convnextv2", norm_cfg=None),
                                theirs("convnextv2").state_dict())


def test_a_head_of_more_layers_is_left_where_the_files_is_one_linear_layer() -> None:
    ours = classifier("swin", type="MLPClsHead", hidden_channels=(8,))
    report = load_classifier_weights(ours, theirs("swin").state_dict())
    assert "one linear layer, and this one has more" in str(report)
    assert all(name.startswith("head.") for name in report.kept) and report.kept
    assert "backbone.norm3.weight" in report.loaded


def saved(model: Any, folder: Path) -> Path:
    """As a run saves it."""
    torch.save({"state_dict": model.state_dict(), "meta": {}}, folder / "best.pth")
    return folder / "best.pth"


@pytest.mark.parametrize("name", some_quick(NAMES, ("swin", "network")))
def test_our_own_file_loads_whole_and_with_other_classes_all_but_the_last_layer(
    name: str, tmp_path: Path
) -> None:
    ours = classifier(name)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    file = saved(ours, tmp_path)
    again = classifier(name)
    report = load_classifier_weights(again, file)
    assert report.kept == report.unused == report.notes == ()
    for key, value in ours.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    six = load_classifier_weights(classifier(name, 6), file)
    assert six.kept == ("head.fc.weight", "head.fc.bias") and len(six.notes) == 1


def test_the_numbers_of_a_loss_are_never_loaded(tmp_path: Path) -> None:
    weights = dict(type="SoftCrossEntropyLoss", class_weight=[1.0] * 10)
    ours = classifier("swin", loss=weights)
    report = load_classifier_weights(classifier("swin"), saved(ours, tmp_path))
    assert report.notes == () and report.kept == ()
    load_classifier_weights(ours, saved(classifier("swin"), tmp_path))


def test_a_timm_backbone_takes_the_head_only_where_nothing_stands_between() -> None:
    def of(name: str, channels: int, **more: Any) -> Any:
        return MODELS.build(dict(
            type="ImageClassifier", backbone=dict(type="TimmBackbone", name=name, **more),
            head=dict(type="LinearClsHead", num_classes=10, in_channels=channels))).eval()

    resnet, file = of("test_resnet", 96), shaken("test_resnet", num_classes=10)
    report = load_classifier_weights(resnet, file.state_dict())
    assert report.kept == report.notes == ()
    with torch.no_grad():
        x = torch.randn(1, 3, 64, 64)
        assert torch.allclose(resnet(x), file(x), atol=1e-5)
    vit = of("test_vit", 64, strides=None)
    report = load_classifier_weights(vit, shaken("test_vit", num_classes=10).state_dict())
    assert "(norm.weight, ...) that TimmBackbone leaves out; TimmNetwork has them" in str(report)
    assert report.kept == ("head.fc.weight", "head.fc.bias")


@pytest.mark.parametrize("content, words", [
    ({}, "an empty dict"),
    ({"state_dict": {"a.weight": torch.ones(1)}}, "not the names of a Swin Transformer"),
    ({"backbone.a": torch.ones(1), "head.fc.weight": torch.ones(1)}, "names of a Swin"),
], ids=["empty", "other", "ours"])
def test_what_is_no_classifiers_file_is_refused(content: State, words: str) -> None:
    with pytest.raises(WeightsError, match=words):
        load_classifier_weights(classifier("swin"), content)


def test_a_pretrained_step_without_checkpoint_is_refused() -> None:
    with pytest.raises(ConfigError, match="ImageClassifier: init_cfg.*checkpoint=FILE"):
        initialise_classifier(classifier("swin"), dict(type="Pretrained"))


DETECTORS: dict[str, tuple[dict[str, Any], dict[str, Any], Callable[..., nn.Module],
                           dict[str, Any]]] = {
    # Of each: the classifier's backbone, its head, and the detector's.
    "swin": (dict(type="SwinTransformer", arch="nano", out_indices=(3,)), dict(in_channels=384),
             SwinTransformer, dict(arch="nano")),
    "convnextv2": (dict(type="ConvNeXtV2", arch="atto", out_indices=(3,), output_norms=False),
                   HEADS["convnextv2"], ConvNeXtV2, dict(arch="atto")),
    "efficientnet": (dict(type="EfficientNet", arch="nano", out_indices=(3,), head_conv=True),
                     dict(in_channels=None), EfficientNet, dict(arch="nano")),
}


@pytest.mark.parametrize("indices", [
    (0, 1, 2, 3), pytest.param((1, 2, 3), marks=pytest.mark.slow)], ids=str)
@pytest.mark.parametrize("name", DETECTORS)
def test_a_classifiers_checkpoint_starts_a_detectors_backbone_with_equal_maps(
    name: str, indices: tuple[int, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    backbone, head, kind, arguments = DETECTORS[name]
    channels = head["in_channels"] or EfficientNet("nano", head_conv=True).feature_channels[-1]
    model = MODELS.build(dict(type="ImageClassifier", backbone=backbone,
                              head={"type": "LinearClsHead", "num_classes": 3, **head,
                                    "in_channels": channels}))
    model.init_weights()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.eval()
    file = saved(model, tmp_path)
    body: Any = kind(out_indices=indices, **arguments,
                     init_cfg=dict(type="Pretrained", checkpoint=str(file))).eval()
    body.init_weights()
    report = load_backbone_weights(body, file)
    norms = {f"norm{i}.{leaf}" for i in indices for leaf in ("weight", "bias")}
    expected_kept = {"swin": norms - {"norm3.weight", "norm3.bias"}, "convnextv2": norms,
                     "efficientnet": set()}[name]
    assert set(report.kept) == expected_kept
    assert {"head.fc.weight", "head.fc.bias"} <= set(report.unused)
    assert ("head_conv.conv.weight" in report.unused) == (name == "efficientnet")
    # The stages' own maps, which all norms and head convolutions look at.
    image, maps, whole = torch.randn(1, 3, 64, 64), [], []
    for stages, found in ((body.stages, maps), (model.backbone.stages, whole)):
        for stage in stages:
            stage.register_forward_hook(
                lambda _, __, out, found=found: found.append(
                    out[0] if isinstance(out, tuple) else out))
    with torch.no_grad():
        body(image), model(image)
    assert len(maps) == 4
    for mine, other in zip(maps, whole, strict=True):
        assert torch.equal(mine, other)
