"""Contract tests of every registered backbone."""

from __future__ import annotations

import copy
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from detkit.errors import ConfigError
from detkit.models import backbones
from detkit.models.layers.deform_conv import DeformConv2d
from detkit.registry import MODELS

SWIN = dict(embed_dims=12, depths=(2, 2), num_heads=(1, 2), window_size=3)
CONVNEXT = dict(depths=(2, 4), dims=(8, 16))
EFFICIENT = dict(stem_channels=8, groups=[("mbconv", 3, 1, 1, 8, 1), ("mbconv", 3, 2, 4, 8, 2),
                                          ("mbconv", 5, 2, 4, 16, 2)])

# Small variants of each class; parity of published networks is tested in a file for each class.
CASES: dict[str, dict[str, Any]] = {
    "swin": dict(type="SwinTransformer", arch=SWIN, out_indices=(0, 1)),
    "swin-micro": dict(type="SwinTransformer", arch="micro", depths=(1, 1, 1, 1)),
    "convnextv2": dict(type="ConvNeXtV2", arch=CONVNEXT, out_indices=(0, 1)),
    "convnextv2-all": dict(type="ConvNeXtV2", arch=CONVNEXT, out_indices=(0, 1), stem="conv",
                           deform_stages=(0, 1), attention_stages=(1,)),
    "efficientnet-micro": dict(type="EfficientNet", arch="micro"),
    "efficientnet-same": dict(type="EfficientNet", arch=EFFICIENT, padding="same",
                              out_indices=(0, 1)),
    "efficientnet-fused": dict(type="EfficientNet", arch="v2_s", out_indices=(0, 1)),
    "efficientnet-deform": dict(type="EfficientNet", arch=EFFICIENT, out_indices=(0, 1),
                                deform_stages=(1,)),
    "timm-resnet": dict(type="TimmBackbone", name="test_resnet"),
    "timm-convnext": dict(type="TimmBackbone", name="test_convnext2"),
    "timm-vit": dict(type="TimmBackbone", name="test_vit2", strides=None),
}
NAMES = list(CASES)
# Backbones with one vector for each image; without any size, stages or activation checkpointing.
VECTORS: dict[str, dict[str, Any]] = {
    "timm-network": dict(type="TimmNetwork", name="test_resnet"),
    "teaching-lenet5": dict(type="ClassicNetwork", name="lenet5"),
    "teaching-resnet18": dict(type="ClassicNetwork", name="resnet18"),
}
ALL = [*NAMES, *(pytest.param(name, marks=pytest.mark.slow) if name == "teaching-resnet18" else name
                 for name in VECTORS)]
# Where tracing takes seconds for each, the default suite has one of each class.
QUICK = ("swin", "convnextv2", "efficientnet-same", "timm-convnext")
NAMES_SLOW_MARKED = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES
]


def build(name: str, **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("detkit"):
        model: nn.Module = MODELS.build({**(CASES | VECTORS)[name], **changes})
    return model


def build_with_statistics(name: str, **changes: Any) -> nn.Module:
    """Build a model in eval mode, with running statistics other than the initial ones."""
    model = build(name, **changes)
    model.init_weights()  # type: ignore[operator]
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randn(4, 3, 96, 64))
    return model.eval()


def make_image(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def test_all_registered_backbones_are_covered() -> None:
    registered = {name for name, backbone_type in MODELS.module_dict.items()
                  if backbone_type.__module__.startswith("detkit.models.backbones.")}
    assert registered == set(backbones.__all__)
    assert registered == {case["type"] for case in (CASES | VECTORS).values()} >= {
        "SwinTransformer", "ConvNeXtV2", "EfficientNet", "TimmBackbone"}


@pytest.mark.parametrize("class_name", backbones.__all__)
def test_backbone_describes_foreign_checkpoints(class_name: str) -> None:
    backbone_type = getattr(backbones, class_name)
    case = next(case for case in (CASES | VECTORS).values() if case["type"] == class_name)
    model = backbone_type(**{key: value for key, value in case.items() if key != "type"})
    state_dict = model.state_dict()
    converted = backbone_type.checkpoint_filter_fn(dict(state_dict), model)
    assert converted.tensors.keys() == state_dict.keys()
    prefixes = backbone_type.classifier_prefixes_fn({}, model)
    assert all(name.endswith(".") for names in prefixes.values() for name in (*prefixes, *names))
    with torch.device("meta"):
        for arch in getattr(backbone_type, "arch_names", ()):
            backbone_type(arch=arch)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 3, 203, 317), (2, 3, 64, 64), (3, 3, 33, 96)], ids=str)
def test_maps_are_finite_and_as_published_at_any_size(name: str, shape: tuple[int, ...]) -> None:
    model = build(name).eval()
    with torch.no_grad():
        maps = model(make_image(*shape))
    channels, strides = model.feature_channels, model.feature_strides
    assert isinstance(maps, tuple)
    for level, channel, stride in zip(maps, channels, strides, strict=True):
        assert level.shape == (shape[0], channel, -(-shape[2] // stride), -(-shape[3] // stride))
        assert level.isfinite().all()


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("shape", [(1, 3, 65, 47), (2, 3, 32, 32)], ids=str)
def test_vectors_are_finite_and_as_published(name: str, shape: tuple[int, ...]) -> None:
    model = build(name).eval()
    with torch.no_grad():
        vectors = model(make_image(*shape))
    assert isinstance(vectors, tuple) and model.feature_strides is None
    assert [vector.shape for vector in vectors] == [(shape[0], model.feature_channels[-1])]
    assert vectors[0].isfinite().all()


# Not guaranteed by timm's models.
@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("timm")])
def test_empty_batch_gives_empty_maps_in_eval_mode(name: str) -> None:
    model = build(name).eval()
    maps = model(torch.empty(0, 3, 75, 64))
    for level, channel, stride in zip(maps, model.feature_channels, model.feature_strides,
                                      strict=True):
        assert level.shape == (0, channel, -(-75 // stride), -(-64 // stride))


@pytest.mark.parametrize("name", ALL)
def test_channels_are_known_on_the_meta_device(name: str) -> None:
    with torch.device("meta"):
        model = build(name)
    assert model.feature_channels == build(name).feature_channels
    assert all(isinstance(channels, int) for channels in model.feature_channels)


@pytest.mark.parametrize("name", ALL)
def test_backward_reaches_every_parameter(name: str) -> None:
    model = build(name)
    model.init_weights()  # type: ignore[operator]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim < 2:  # timm's ResNet initializes the last norm of each branch to zero
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.train()
    sum((level**3).sum() for level in model(make_image(2, 3, 70, 102))).backward()
    for key, parameter in model.named_parameters():
        assert parameter.requires_grad, key
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key
        assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frozen", [0, 1])
def test_frozen_stages_have_no_gradient_and_stay_in_eval_mode(name: str, frozen: int) -> None:
    free, model = build(name), build(name, frozen_stages=frozen)
    # nn.Module.train() returns the module.
    assert model.train() is model
    before = {key: value.clone() for key, value in model.state_dict().items()}
    sum(level.square().sum() for level in model(make_image(2, 3, 64, 64))).backward()
    still = {key for key, p in model.named_parameters() if not p.requires_grad}
    assert still and len(still) < len(list(free.parameters()))
    for key, parameter in model.named_parameters():
        assert (parameter.grad is None) == (key in still), key
    modules = dict(model.named_modules())
    for key, value in model.state_dict().items():
        owner = key.rpartition(".")[0]
        if any(f"{owner}.{param_name}" in still for param_name in ("weight", "bias")):
            assert torch.equal(value, before[key]), key  # running statistics among them
            assert not modules[owner].training, key
    assert any(module.training for module in modules.values())
    more = {key for key, p in build(name, frozen_stages=1).named_parameters()
            if not p.requires_grad}
    assert still <= more


@pytest.mark.parametrize("name", NAMES)
def test_activation_checkpointing_gives_same_maps_and_gradients(name: str) -> None:
    results = []
    for with_cp in (False, True):
        model = build(name, with_cp=with_cp).train()
        torch.manual_seed(3)
        maps = model(make_image(2, 3, 64, 96))
        torch.stack([level.square().mean() for level in maps]).sum().backward()
        results.append([*maps, *(p.grad for p in model.parameters())])
    for plain, recomputed in zip(*results, strict=True):
        torch.testing.assert_close(plain, recomputed, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_copy_after_a_step_gives_same_maps(name: str, how: str) -> None:
    model = build(name).train()
    model(make_image(2, 3, 64, 64))[0].sum().backward()
    copied = copy.deepcopy(model) if how == "deepcopy" else pickle.loads(pickle.dumps(model))
    with torch.no_grad():
        pairs = zip(model.eval()(make_image(1, 3, 40, 64)), copied.eval()(make_image(1, 3, 40, 64)))
        assert all(torch.equal(first, second) for first, second in pairs)


@pytest.mark.parametrize("name", ALL)
def test_output_is_independent_of_other_images_in_batch(name: str) -> None:
    model = build_with_statistics(name)
    images = make_image(3, 3, 44, 64)
    with torch.no_grad():
        together = model(images)
        for index in range(3):
            for level, alone in zip(together, model(images[index : index + 1]), strict=True):
                torch.testing.assert_close(level[index : index + 1], alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_channels_last_gives_the_same_maps_and_gradients(name: str) -> None:
    model = build_with_statistics(name)
    other = copy.deepcopy(model).to(memory_format=torch.channels_last)
    image = make_image(2, 3, 75, 64)
    maps = model(image), other(image.contiguous(memory_format=torch.channels_last))
    for first, second in zip(*maps, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)
    for outputs in maps:
        torch.stack([level.square().mean() for level in outputs]).sum().backward()
    for (key, first), second in zip(model.named_parameters(), other.parameters(), strict=True):
        assert first.grad is not None and second.grad is not None
        assert (first.grad - second.grad).norm() <= 1e-3 * first.grad.norm() + 1e-6, key


@pytest.mark.parametrize("name", ALL)
def test_bfloat16_autocast_stays_near_float32(name: str) -> None:
    model = build_with_statistics(name)
    image = make_image(2, 3, 64, 96)
    with torch.no_grad():
        exact = model(image)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(image)
    for first, second in zip(exact, rough, strict=True):
        # bf16 has 8 bits: 0.4 % for a rounding, over ten to forty consecutive roundings.
        assert (first - second.float()).norm() < 0.1 * first.norm()


@pytest.mark.parametrize("name", NAMES_SLOW_MARKED)
def test_torch_export_gives_the_same_maps(name: str) -> None:
    model = build_with_statistics(name)
    image = make_image(1, 3, 75, 64)
    with torch.no_grad():
        exported = torch.export.export(model, (image,)).module()
        for first, second in zip(model(image), exported(image), strict=True):
            torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)


def compiled_and_plain(name: str, backend: str) -> None:
    model = build_with_statistics(name)
    image = make_image(1, 3, 64, 96)
    torch._dynamo.reset()
    quick = torch.compile(model, backend=backend)
    with torch.no_grad():
        for first, second in zip(model(image), quick(image), strict=True):
            torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)
    plain, traced = model(image), quick(image)
    for maps in (plain, traced):
        torch.stack([level.square().mean() for level in maps]).sum().backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        model.zero_grad()
        if maps is plain:
            expected = gradients
    assert len(gradients) == len(expected) == len(list(model.parameters()))
    for first, second in zip(expected, gradients, strict=True):
        assert (first - second).norm() <= 1e-3 * first.norm() + 1e-6


@pytest.mark.parametrize("name", [name if name == "convnextv2" else
                                  pytest.param(name, marks=pytest.mark.slow) for name in NAMES])
def test_torch_compile_eager_backend_gives_same_maps_and_gradients(name: str) -> None:
    compiled_and_plain(name, "aot_eager")


@pytest.mark.parametrize("name", [name if name == "efficientnet-same" else
                                  pytest.param(name, marks=pytest.mark.slow) for name in NAMES])
def test_activation_checkpointing_under_torch_compile_gives_same_gradients_and_statistics(
    name: str,
) -> None:
    changes: dict[str, Any] = dict(with_cp=True)
    if name == "efficientnet-same":
        # one block is enough
        changes.update(arch=dict(stem_channels=8, groups=[("mbconv", 3, 2, 1, 8, 1)]),
                       out_indices=(0,))
    results = []
    for compiled in (False, True):
        # timm's eager checkpointing updates statistics twice; compiled checkpointing does not.
        if name.startswith("timm"):
            changes["with_cp"] = compiled
        torch._dynamo.reset()
        model = build(name, **changes)
        model.init_weights()  # type: ignore[operator]
        model.train()
        run = torch.compile(model, backend="aot_eager") if compiled else model
        torch.manual_seed(3)
        maps = run(make_image(2, 3, 64, 64))
        torch.stack([level.square().mean() for level in maps]).sum().backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        results.append([*maps, *gradients, *(b for b in model.buffers() if b.is_floating_point())])
    for first, second in zip(*results, strict=True):
        assert (first - second).norm() <= 1e-3 * first.norm() + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_torch_compile_inductor_gives_same_maps_and_gradients(name: str) -> None:
    if not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("torch's compiler for the CPU needs a C++ compiler")
    compiled_and_plain(name, "inductor")


@pytest.mark.parametrize("name", ALL)
def test_layer_depth_covers_all_parameters_and_starts_at_zero(name: str) -> None:
    model = build(name)
    depths = {}
    for key, _ in model.named_parameters():
        depths[key], count = model.get_layer_depth(f"backbone.{key}", "backbone.")
        assert 0 <= depths[key] < count, key
        for foreign in (f"neck.{key}", key):
            assert model.get_layer_depth(foreign, "backbone.") == (count - 1, count), foreign
    assert depths[next(iter(depths))] == 0
    assert len(set(depths.values())) > 2


@pytest.mark.parametrize("name", ALL)
def test_init_weights_runs_once(name: str) -> None:
    model = build(name)
    assert isinstance(model, BaseModule)
    model.init_weights()
    assert model.is_init


@pytest.mark.parametrize("name", [name for name in NAMES if "deform_stages" in CASES[name]])
def test_offsets_stay_zero_after_init_unless_checkpoint_has_them(
    name: str, tmp_path: Path
) -> None:
    plain = build(name, deform_stages=())
    torch.save(plain.state_dict(), tmp_path / "plain.pth")
    file = dict(type="Pretrained", checkpoint=str(tmp_path / "plain.pth"))
    model = build(name, init_cfg=[dict(type="Kaiming", layer="Conv2d"), file])
    model.init_weights()  # type: ignore[operator]
    offsets = [part.conv_offset for part in model.modules() if isinstance(part, DeformConv2d)]
    assert offsets and not any(p.any() for offset in offsets for p in offset.parameters())
    for key, value in plain.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key

    for offset in offsets:
        nn.init.normal_(offset.weight)
    torch.save(model.state_dict(), tmp_path / "plain.pth")
    again = build(name, init_cfg=file)
    again.init_weights()  # type: ignore[operator]
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key


@pytest.mark.parametrize("class_name", ["SwinTransformer", "ConvNeXtV2", "EfficientNet"])
@pytest.mark.parametrize("arguments", [
    dict(arch=None), dict(arch=3), dict(arch=["depths"]), dict(arch={3: 4}),
    dict(out_indices=[[0]]), dict(out_indices="01"), dict(in_channels="3"),
    dict(in_channels=None), dict(in_channels=0),
], ids=str)
def test_invalid_argument_type_is_rejected_by_name(
    class_name: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        getattr(backbones, class_name)(**arguments)
