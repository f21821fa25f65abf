"""Training of ImageClassifier with the features of mmengine's runner."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.model import ExponentialMovingAverage, MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch import Tensor

from detkit.engine.optim.amp import AmpOptimWrapper
from detkit.models.classifiers.image_classifier import ImageClassifier
from detkit.registry import MODELS
from detkit.structures.data_sample import DataSample

K = 4
NORMALISED: dict[str, Any] = dict(type="ClsDataPreprocessor", mean=[127.5], std=[64.0])
SMALL: dict[str, Any] = dict(
    type="ImageClassifier", data_preprocessor=NORMALISED,
    backbone=dict(type="ConvNeXtV2", arch=dict(depths=(1, 1), dims=(8, 16), drop_path_rate=0.0),
                  out_indices=(1,), output_norms=False),
    head=dict(type="LinearClsHead", num_classes=K, in_channels=16,
              norm_cfg=dict(type="LN", eps=1e-6)),
)
# Configs of small classifiers of each family.
FORMS: dict[str, dict[str, Any]] = {
    "swin": dict(backbone=dict(type="SwinTransformer", arch="micro", out_indices=(3,)),
                 head=dict(type="LinearClsHead", in_channels=384)),
    "convnextv2": dict(
        backbone=dict(type="ConvNeXtV2", arch="atto", out_indices=(3,), output_norms=False),
        head=dict(type="LinearClsHead", in_channels=320, norm_cfg=dict(type="LN", eps=1e-6))),
    "efficientnet": dict(
        backbone=dict(type="EfficientNet", arch="micro", out_indices=(3,), head_conv=True),
        head=dict(type="MLPClsHead", in_channels=None, hidden_channels=(32,))),
}


def build(cfg: dict[str, Any]) -> ImageClassifier:
    torch.manual_seed(0)
    model: ImageClassifier = MODELS.build(copy.deepcopy(cfg))
    model.init_weights()
    return model


def batch(count: int = 8, size: int = 32) -> dict[str, Any]:
    """A batch of noise images, two of each class, as from a dataloader."""
    generator = torch.Generator().manual_seed(2)
    shape = (3, size, size)
    inputs = [torch.randint(256, shape, dtype=torch.uint8, generator=generator)
              for _ in range(count)]
    return dict(inputs=inputs, data_samples=[DataSample(gt_label=i % K) for i in range(count)])


def wrapped(model: torch.nn.Module, lr: float = 0.01, **kwargs: Any) -> OptimWrapper:
    return OptimWrapper(torch.optim.AdamW(model.parameters(), lr), **kwargs)


def accuracy(predictions: list[DataSample]) -> float:
    return sum(int(s.pred_scores.argmax()) == int(s.gt_label)
               for s in predictions) / len(predictions)


@pytest.mark.parametrize("name", [name if name == "convnextv2" else
                                  pytest.param(name, marks=pytest.mark.slow) for name in FORMS])
def test_each_backbone_family_overfits_eight_images(name: str) -> None:
    form = copy.deepcopy(FORMS[name])
    form["backbone"]["drop_path_rate"] = 0.0
    if form["head"]["in_channels"] is None:
        form["head"]["in_channels"] = MODELS.build(form["backbone"]).feature_channels[-1]
    model = build(dict(type="ImageClassifier", data_preprocessor=NORMALISED,
                       backbone=form["backbone"], head={**form["head"], "num_classes": K}))
    model.train()
    wrapper, data, losses = wrapped(model, lr=1e-3), batch(), []
    for _ in range(60):
        losses.append(model.train_step(data, wrapper)["loss"].item())
        if losses[-1] < 0.05:
            break
    # ln 4 = 1.39 before training.
    assert losses[0] == pytest.approx(1.39, abs=0.35)
    assert losses[-1] < 0.05, losses


def test_every_parameter_is_updated() -> None:
    model = build(SMALL).train()
    before = copy.deepcopy(dict(model.named_parameters()))
    wrapper = wrapped(model)
    for _ in range(2):
        logged = model.train_step(batch(), wrapper)
    assert set(logged) == {"loss"}
    for name, parameter in model.named_parameters():
        assert not torch.equal(parameter, before[name]), name


def test_val_and_test_steps_return_samples_with_scores() -> None:
    model = build(SMALL).eval()
    with torch.no_grad():
        for step in (model.val_step, model.test_step):
            predictions = step(batch())
            assert [int(sample.gt_label) for sample in predictions] == [0, 1, 2, 3] * 2
            assert all(sample.pred_scores.shape == (K,) for sample in predictions)
        assert len(model.test_step(dict(inputs=batch()["inputs"]))) == 8  # without samples


def test_bfloat16_training_keeps_float32_weights() -> None:
    model = build(SMALL).train()
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    wrapper = AmpOptimWrapper(optimizer=optimizer, dtype="bfloat16")
    losses = [model.train_step(batch(), wrapper)["loss"].item() for _ in range(40)]
    assert losses[-1] < 0.5 * losses[0]
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_gradient_accumulation_matches_full_batch() -> None:
    data = batch()
    halves = [{key: value[part] for key, value in data.items()}
              for part in (slice(0, 4), slice(4, 8))]
    full_batch_model, half_batch_model = build(SMALL).train(), build(SMALL).train()
    full_batch_model.train_step(data,
                                OptimWrapper(torch.optim.SGD(full_batch_model.parameters(), 0.1)))
    wrapper = OptimWrapper(torch.optim.SGD(half_batch_model.parameters(), 0.1),
                           accumulative_counts=2)
    wrapper.initialize_count_status(half_batch_model, 0, 2)
    for half in halves:
        half_batch_model.train_step(half, wrapper)
    for name, value in full_batch_model.state_dict().items():
        torch.testing.assert_close(half_batch_model.state_dict()[name], value, msg=name)


def test_ema_model_predicts() -> None:
    model = build(SMALL).train()
    average = ExponentialMovingAverage(model, momentum=0.5)
    start = model.head.fc.weight.detach().clone()
    average.update_parameters(model)  # the first copies
    model.train_step(batch(), wrapped(model))
    average.update_parameters(model)
    # Half old, half new.
    expected = (start + model.head.fc.weight.detach()) / 2
    torch.testing.assert_close(average.module.head.fc.weight.detach(), expected)
    assert len(average.module.eval().val_step(batch())) == 8


def test_training_on_mixed_batches_learns_original_classes() -> None:
    cfg = {**SMALL, "train_cfg": dict(augments=[dict(type="MixUp", alpha=0.8),
                                                dict(type="CutMix", alpha=1.0)])}
    model, data = build(cfg).train(), batch()
    wrapper = wrapped(model)
    for _ in range(80):
        model.train_step(data, wrapper)
    with torch.no_grad():
        assert accuracy(model.eval().val_step(data)) >= 7 / 8


@pytest.fixture
def lone_process(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_trains_in_distributed_data_parallel(lone_process: None) -> None:
    alone, model = build(SMALL).train(), build(SMALL).train()
    shared = MMDistributedDataParallel(model)
    losses: list[list[Tensor]] = []
    for trained, outer in ((alone, alone), (model, shared)):
        wrapper = wrapped(trained)
        losses.append([outer.train_step(batch(), wrapper)["loss"].detach() for _ in range(3)])
    torch.testing.assert_close(losses[0], losses[1])
    assert len(shared.val_step(batch())) == 8
