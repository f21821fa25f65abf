"""ImageClassifier: parity with timm, modes, invalid configs and data."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from detkit.engine.optim.layer_decay import LearningRateDecayOptimWrapperConstructor
from detkit.errors import ConfigError, DataError
from detkit.models.backbones import ConvNeXtV2
from detkit.models.classifiers.image_classifier import ImageClassifier
from detkit.models.weights.backbone_weights import load_backbone_weights
from detkit.registry import MODELS
from detkit.structures.data_sample import DataSample

K = 3
CONVNEXT: dict[str, Any] = dict(
    type="ConvNeXtV2", arch=dict(depths=(1, 2), dims=(8, 16), drop_path_rate=0.0),
    out_indices=(1,), output_norms=False)
HEAD: dict[str, Any] = dict(type="LinearClsHead", num_classes=K, in_channels=16,
                            norm_cfg=dict(type="LN", eps=1e-6))


@MODELS.register_module()
class FixedOutputBackbone(BaseModule):  # type: ignore[misc]
    """A backbone for tests: zeros of a given shape for each image."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (x.new_zeros(len(x), *self.shape),)


def classifier(**changes: Any) -> ImageClassifier:
    torch.manual_seed(0)
    model: ImageClassifier = MODELS.build({
        "type": "ImageClassifier", "backbone": CONVNEXT, "head": HEAD, **changes})
    return model


def make_images(batch: int = 4) -> Tensor:
    return torch.randn(batch, 3, 32, 40, generator=torch.Generator().manual_seed(1))


def samples(labels: list[int]) -> list[DataSample]:
    return [DataSample(metainfo=dict(img_path=f"{i}.jpg"), gt_label=label)
            for i, label in enumerate(labels)]


def test_logits_match_timm_on_same_weights() -> None:
    torch.manual_seed(0)
    timm_model = timm.create_model("convnextv2_atto", num_classes=7).eval()
    detkit_model = classifier(
        backbone=dict(type="ConvNeXtV2", arch="atto", out_indices=(3,), output_norms=False),
        head={**HEAD, "num_classes": 7, "in_channels": 320}).eval()
    with torch.no_grad():
        for parameter in timm_model.parameters():  # its last layer is initialized to zero
            parameter.add_(torch.randn_like(parameter) * 0.05)
        load_backbone_weights(detkit_model.backbone, timm_model.state_dict())
        detkit_model.head.norm.load_state_dict(timm_model.head.norm.state_dict())
        detkit_model.head.fc.load_state_dict(timm_model.head.fc.state_dict())
        # Multiples of 32: for other sizes timm drops the remainder and detkit pads.
        image = torch.randn(2, 3, 64, 96)
        logits, expected = detkit_model(image), timm_model(image)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_tensor_loss_and_predict_modes_agree() -> None:
    model = classifier().eval()
    features = model.extract_feat(make_images())
    assert features.shape == (4, 16)
    logits = model(make_images())
    torch.testing.assert_close(logits, model.head(features))
    labels = [2, 0, 1, 1]
    losses = model(make_images(), samples(labels), mode="loss")
    assert list(losses) == ["loss"]
    torch.testing.assert_close(losses["loss"], F.cross_entropy(logits, torch.tensor(labels)))
    predictions = model(make_images(), samples(labels), mode="predict")
    assert [int(sample.gt_label) for sample in predictions] == labels
    assert [sample.img_path for sample in predictions] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    for sample, expected in zip(predictions, logits.softmax(1), strict=True):
        assert sample.pred_scores.dtype == torch.float32
        torch.testing.assert_close(sample.pred_scores, expected)


def test_samples_are_made_where_none_are_given() -> None:
    predictions = classifier().eval()(make_images(), None, mode="predict")
    assert [type(sample) for sample in predictions] == [DataSample] * 4
    assert float(predictions[0].pred_scores.detach().sum()) == pytest.approx(1)


def test_empty_batch_gives_empty_results() -> None:
    model = classifier().eval()
    assert model(make_images(0)).shape == (0, K)
    assert model(make_images(0), [], mode="predict") == []
    assert model(make_images(0), [], mode="loss")["loss"] == 0


def test_scores_are_float32_under_autocast() -> None:
    model = classifier().eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert model(make_images()).dtype == torch.bfloat16
        predictions = model(make_images(), None, mode="predict")
        assert model(make_images(), samples([0] * 4), mode="loss")["loss"].dtype == torch.float32
    assert all(sample.pred_scores.dtype == torch.float32 for sample in predictions)
    assert float(predictions[0].pred_scores.sum()) == pytest.approx(1, abs=1e-6)


def test_batch_augments_run_only_in_training() -> None:
    model = classifier(train_cfg=dict(augments=[dict(type="CutMix")]))
    given: list[Tensor] = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    model(make_images(), samples([0, 1, 2, 0]), mode="loss")
    model(make_images(), samples([0, 1, 2, 0]), mode="predict")
    model.eval()(make_images(), samples([0, 1, 2, 0]), mode="loss")
    assert [torch.equal(inputs, make_images()) for inputs in given] == [False, True, True]


def test_vectors_need_no_pooling() -> None:
    parts: dict[str, Any] = dict(backbone=dict(type="FixedOutputBackbone", shape=(16,)))
    for pooling in (None, dict(type="GlobalAveragePooling")):
        assert classifier(**parts, pooling=pooling)(make_images()).shape == (4, K)


@pytest.mark.parametrize(("parts", "message"), [
    (dict(head={**HEAD, "in_channels": 24}),
     "in_channels does not fit the backbone ConvNeXtV2: got 24, expected 16"),
    (dict(train_cfg=dict(augment=[])), "model.train_cfg: unknown key 'augment'"),
    (dict(train_cfg=5), "model.train_cfg: got 5, expected a dict such as"),
    (dict(pooling="avg"), "model.pooling: got 'avg', expected a dict with a type, such as"),
    (dict(pooling=dict(size=1)), "model.pooling: got {'size': 1}, expected a dict with a type"),
    (dict(head={**HEAD, "loss": "focal"}), "LinearClsHead: loss: got 'focal', expected a dict"),
    (dict(head={**HEAD, "loss": dict(type="ClassBalancedLoss", loss=5)}),
     "ClassBalancedLoss: loss: got 5, expected a dict"),
    (dict(head={**HEAD, "loss": dict(type="ClassBalancedLoss", loss=dict(type="FocalLoss"))}),
     "ClassBalancedLoss: loss: got FocalLoss, expected one that takes class_weight"),
], ids=["channels", "train_cfg", "number", "word", "no-type", "loss", "loss-within", "unweighed"])
def test_incompatible_modules_are_rejected_when_built(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        classifier(**parts)


@pytest.mark.parametrize(("shape", "pooling", "message"), [
    ((24, 2, 2), True, r"LinearClsHead with in_channels=16 gets .*\(4, 24\), expected \(B, 16\)"),
    ((5, 24), True, "its output cannot be pooled"),
    ((16, 2, 2), False, "model.pooling: the backbone outputs maps"),
], ids=["channels", "tokens", "maps"])
def test_incompatible_features_are_rejected(
    shape: tuple[int, ...], pooling: bool, message: str
) -> None:
    parts: dict[str, Any] = {} if pooling else dict(pooling=None)
    model = classifier(backbone=dict(type="FixedOutputBackbone", shape=shape), **parts)
    with pytest.raises(ConfigError, match=message):
        model(make_images())


def test_label_out_of_range_is_rejected_by_image_name() -> None:
    expected = r"label of image '1.jpg': got 3, expected 0\.\.2: the model has 3 classes"
    with pytest.raises(DataError, match=expected):
        classifier()(make_images(), samples([0, 3, 1, 4]), mode="loss")


@pytest.mark.parametrize("given", [None, [DataSample(metainfo=dict(img_path="a.jpg"))]],
                         ids=["no-samples", "no-label"])
def test_loss_without_labels_is_rejected(given: list[DataSample] | None) -> None:
    with pytest.raises(DataError, match="a training image has no class: got"):
        classifier()(make_images(1), given, mode="loss")


def test_single_image_batch_with_batch_norm_is_rejected_in_training() -> None:
    head = {**HEAD, "norm_cfg": dict(type="BN1d")}
    model = classifier(head=head).train()
    with pytest.raises(DataError, match="batch of one image.*drop_last=True"):
        model(make_images(1), samples([0]), mode="loss")
    model.eval()(make_images(1), samples([0]), mode="loss")


def test_unknown_mode_is_rejected() -> None:
    with pytest.raises(ValueError, match="mode: got 'train', expected 'tensor', 'loss' or"):
        classifier()(make_images(), None, mode="train")


def test_classifier_has_task_classification() -> None:
    assert ImageClassifier.task == "classification"


def test_init_weights_initializes_each_component_once() -> None:
    model = classifier()
    with torch.no_grad():
        model.head.fc.bias.fill_(9)
    model.init_weights()
    assert not model.head.fc.bias.any() and model.backbone.is_init and model.head.is_init
    before = copy.deepcopy(model.state_dict())
    model.init_weights()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_pretrained_init_cfg_loads_classifier_checkpoint(tmp_path: Path) -> None:
    first = classifier()
    first.init_weights()
    torch.save(dict(state_dict=first.state_dict()), tmp_path / "first.pth")
    asked = dict(type="Pretrained", checkpoint=str(tmp_path / "first.pth"))
    second = classifier(init_cfg=asked)
    second.init_weights()
    assert second.init_cfg == asked
    for name, value in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], value), name


def test_layer_decay_applies_to_backbone_only() -> None:
    model = classifier()
    wrapper = LearningRateDecayOptimWrapperConstructor(
        dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=1.0)), dict(decay_rate=0.5))(model)
    names = {id(weight): name for name, weight in model.named_parameters()}
    rates = {names[id(group["params"][0])]: group["lr"]
             for group in wrapper.optimizer.param_groups}
    # Depths: 0 the stem, 1 and 2 the stages of up to three blocks, 3 after them.
    assert rates["backbone.stem.proj.weight"] == 0.5**3
    assert rates["backbone.stages.0.blocks.0.dwconv.weight"] == 0.5**2
    assert rates["backbone.stages.1.blocks.1.dwconv.weight"] == 0.5
    assert rates["head.norm.weight"] == rates["head.fc.weight"] == 1.0


def test_convnext_without_output_norms_gives_unnormalized_maps() -> None:
    torch.manual_seed(0)
    normed = ConvNeXtV2(arch=CONVNEXT["arch"], out_indices=(0, 1)).eval()
    bare = ConvNeXtV2(arch=CONVNEXT["arch"], out_indices=(0, 1), output_norms=False).eval()
    assert set(normed.state_dict()) - set(bare.state_dict()) == {
        f"norm{i}.{name}" for i in (0, 1) for name in ("weight", "bias")}
    # Each loads the other's checkpoint; the norms are reported as unexpected or missing.
    report = load_backbone_weights(bare, normed.state_dict())
    assert set(
        report.unexpected_keys) == {"norm0.weight", "norm0.bias", "norm1.weight", "norm1.bias"}
    report = load_backbone_weights(normed, bare.state_dict())
    assert set(report.missing_keys) == {"norm0.weight", "norm0.bias", "norm1.weight", "norm1.bias"}
    with torch.no_grad():
        for level, (raw, expected) in enumerate(zip(bare(make_images()), normed(make_images()))):
            norm: nn.Module = normed.get_submodule(f"norm{level}")
            normalized = norm(raw.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            torch.testing.assert_close(normalized, expected)


def test_convnext_without_output_norms_can_be_frozen() -> None:
    model = ConvNeXtV2(arch=CONVNEXT["arch"], out_indices=(0, 1), output_norms=False,
                       frozen_stages=1).train()
    still = {name.split(".")[0] + name.split(".")[1] for name, parameter in model.named_parameters()
             if not parameter.requires_grad}
    assert still == {"stemproj", "stemnorm", "stages0"}
    assert model.get_layer_depth("backbone.stages.1.blocks.0.norm.weight", "backbone.") == (2, 4)
    assert ConvNeXtV2.feature_info("atto", (3,), output_norms=False) == ((320,), (32,))
