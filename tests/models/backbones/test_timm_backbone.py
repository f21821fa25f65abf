"""TimmBackbone: arguments, levels, padding, freezing, for models of several families."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import timm
import torch
from mmengine.registry import DefaultScope
from timm.layers import RelPosBias, resize_rel_pos_bias_table_simple
from torch import Tensor, nn

from detkit.config.infer.infer_fields import get_feature_channels
from detkit.errors import ConfigError, WeightsError
from detkit.models.backbones import TimmBackbone
from detkit.models.backbones.timm.relative_position_bias import DynamicRelPosBias
from detkit.registry import MODELS

slow = pytest.mark.slow
# timm's small test models of each family; published ones are in test_timm_parity.py.
SMALL: dict[str, dict[str, Any]] = {
    "test_resnet": {},
    "test_efficientnet": {},
    "test_convnext": {},
    "test_maxvit": {},
    "test_coatnet": {},
    "test_vit": dict(strides=None),
}


def small(name: str = "test_resnet", **changes: Any) -> TimmBackbone:
    torch.manual_seed(0)
    return TimmBackbone(name, **{**SMALL.get(name, {}), **changes})


def expected_shapes(model: TimmBackbone, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [(shape[0], channels, -(-shape[2] // stride), -(-shape[3] // stride))
            for channels, stride in zip(model.feature_channels, model.feature_strides, strict=True)]


@pytest.mark.parametrize("name", [
    *SMALL, "test_nfnet", "mobilenetv3_small_050", "efficientvit_b0", "inception_next_atto",
    *(pytest.param(name, marks=slow) for name in (
        "densenet121", "vgg11", "inception_v3", "legacy_xception", "hrnet_w18_small", "dla34",
        "swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256", "swinv2_cr_tiny_224",
        "maxvit_nano_rw_256", "coatnet_nano_rw_224", "coatnet_rmlp_nano_rw_224", "davit_tiny",
        "convnextv2_atto", "mobilevitv2_050", "regnetx_004_tv", "res2net50d", "skresnet18")),
])
def test_maps_have_the_published_channels_and_strides_at_any_size(name: str) -> None:
    model = small(name).eval()
    for shape in ((1, 3, 203, 317), (2, 3, 33, 64)):
        with torch.no_grad():
            maps = model(torch.randn(shape))
        assert [tuple(level.shape) for level in maps] == expected_shapes(model, shape)
        assert all(level.isfinite().all() for level in maps)


@pytest.mark.parametrize("name, patch", [
    ("test_vit", 16), ("vit_tiny_patch16_224", 16),
    *(pytest.param(*case, marks=slow) for case in (
        ("deit_tiny_patch16_224", 16), ("vit_base_patch16_clip_224", 16),
        ("vit_small_patch14_dinov2", 14), ("vit_small_patch16_dinov3", 16),
        ("eva02_tiny_patch14_224", 14), ("vit_base_patch32_224", 32))),
])
def test_plain_transformer_has_one_map(name: str, patch: int) -> None:
    model = small(name, strides=None).eval()
    assert model.feature_strides == (patch,)
    with torch.no_grad():
        level, = model(torch.randn(1, 3, 203, 317))
    assert tuple(level.shape) == expected_shapes(model, (1, 3, 203, 317))[0]
    assert small(name, strides=(patch,)).feature_strides == (patch,)


def test_deepest_map_of_each_stride_is_used() -> None:
    # VOLO-D1: stages of stride 8, 16, 16, 16 with 192, 384, 384, 384 channels.
    model = small("volo_d1_224", strides=(16,), img_size=64).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        every = model.body.forward_intermediates(image, intermediates_only=True)
        assert torch.equal(model(image)[0], every[-1])


@pytest.mark.parametrize("in_chans", [1, 4])
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_in_chans_other_than_three(name: str, in_chans: int) -> None:
    model = small(name, in_chans=in_chans).eval()
    shape = (1, in_chans, 70, 50)
    with torch.no_grad():
        maps = model(torch.randn(shape))
    assert [tuple(level.shape) for level in maps] == expected_shapes(model, shape)


def test_error_of_failing_timm_model_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no maps\ntoday")

    monkeypatch.setattr(timm.models.ResNet, "forward_intermediates", refuse)
    with pytest.raises(ConfigError,
                       match=r"compute the levels of .* \(RuntimeError: no maps today\)"):
        small()


def test_layers_after_last_level_are_not_built() -> None:
    model = small(strides=(4, 8))
    assert model.feature_strides == (4, 8)
    assert not any("layer3" in name for name in model.state_dict())
    assert len(model(torch.randn(1, 3, 40, 40))) == 2


@pytest.mark.parametrize("name", [*SMALL, "mobilenetv3_small_050",
                                  pytest.param("swin_tiny_patch4_window7_224", marks=slow),
                                  pytest.param("densenet121", marks=slow)])
@pytest.mark.parametrize("deepest", [True, False], ids=["all", "first"])
def test_backward_reaches_every_parameter(name: str, deepest: bool) -> None:
    changes = {} if deepest or name == "test_vit" else dict(strides=(4,))
    model = small(name, **changes)
    sum((level**3).sum() for level in model(torch.randn(2, 3, 70, 64))).backward()
    assert not [key for key, weight in model.named_parameters() if weight.grad is None]


@pytest.mark.parametrize("name, stages, still, moving", [
    ("test_resnet", 0, ["body.conv1", "body.bn1"], "body.layer1"),
    ("test_resnet", 2, ["body.conv1", "body.bn1", "body.layer1", "body.layer2"], "body.layer3"),
    ("test_vit", 2, ["body.patch_embed", "body.pos_embed", "body.blocks.1."], "body.blocks.2."),
    ("test_convnext", 1, ["body.stem", "body.stages.0"], "body.stages.1"),
])
def test_frozen_stages_get_no_gradient_and_stay_in_eval_mode(
    name: str, stages: int, still: list[str], moving: str
) -> None:
    model = small(name, frozen_stages=stages)
    assert model.train() is model
    before = copy.deepcopy(model.state_dict())
    sum(level.sum() for level in model(torch.randn(2, 3, 64, 64))).backward()
    held = {key for key, weight in model.named_parameters() if not weight.requires_grad}
    assert all(any(key.startswith(part) for key in held) for part in still)
    assert not any(key.startswith(moving) for key in held)
    for key, weight in model.named_parameters():
        assert (weight.grad is None) is (key in held), key
    for key, value in model.named_buffers():
        if key.startswith(tuple(still)) and "running" in key:
            assert torch.equal(value, before[key]), key
    for path, module in model.named_modules():
        if path.startswith(tuple(still)):
            assert not module.training, path
    assert model.get_submodule(moving.rstrip(".")).training


def test_norm_eval_keeps_running_statistics() -> None:
    for norm_eval, switched in ((False, True), (True, True), (True, False)):
        model = small(norm_eval=norm_eval)
        if switched:  # otherwise in training mode, as built
            model.train()
        model(torch.randn(2, 3, 64, 64) + 3)
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        moved = [module.running_mean.abs().sum() > 0 for module in norms]
        assert norms and all(moved) is not norm_eval and any(moved) is not norm_eval
        assert model.body.layer1.training


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_maxvit"])
def test_activation_checkpointing_gives_same_gradients(name: str) -> None:
    image = torch.randn(2, 3, 64, 64)
    gradients, runs = [], []
    for with_cp in (False, True):
        model = small(name, with_cp=with_cp, norm_eval=True).train()
        count: list[int] = []
        block = next(
            m
            for p, m in model.named_modules()
            if p.endswith((".0.conv1", "blocks.0.mlp", "blocks.0.conv"))
        )
        block.register_forward_pre_hook(lambda *_: count.append(1))
        sum((level**2).sum() for level in model(image)).backward()
        gradients.append([weight.grad for weight in model.parameters()])
        runs.append(len(count))
    assert runs == [1, 2]
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit",
                                  pytest.param("test_coatnet", marks=slow)])
def test_copies_and_exports_give_the_same_maps(name: str) -> None:
    model = small(name).eval()
    image = torch.randn(1, 3, 83, 50)
    with torch.no_grad():
        maps = model(image)
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)),
                      torch.export.export(model, (image,)).module()):
            torch.testing.assert_close(other(image), maps)


@slow
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_coatnet", "test_maxvit"])
def test_compiled_and_channels_last_maps_are_the_same(name: str) -> None:
    model = small(name).eval()
    image = torch.randn(2, 3, 83, 50)
    with torch.no_grad():
        maps = model(image)
        torch.testing.assert_close(torch.compile(model, backend="aot_eager")(image), maps)
        last = model.to(memory_format=torch.channels_last)
        moved = last(image.to(memory_format=torch.channels_last))
        torch.testing.assert_close(moved, maps, rtol=1e-4, atol=1e-4)


def test_coatnet_mlp_biases_at_other_size_match_timm() -> None:
    name = "coatnet_rmlp_nano_rw_224"
    reference_model = timm.create_model(name, num_classes=0).eval()
    detkit_model = TimmBackbone(name).eval()
    # strict=False: the final norm is not built
    detkit_model.body.load_state_dict(reference_model.state_dict(), strict=False)
    reference_model.set_input_size((96, 160))
    image = torch.randn(1, 3, 96, 160)
    with torch.no_grad():
        expected = reference_model.forward_intermediates(
            image, indices=[1, 2, 3, 4], intermediates_only=True
        )
        for first, second in zip(detkit_model(image), expected, strict=True):
            torch.testing.assert_close(first, second)


def test_bias_table_is_resized_to_map() -> None:
    torch.manual_seed(0)
    timms = RelPosBias((5, 5), num_heads=3)
    biases = DynamicRelPosBias(timms)
    torch.testing.assert_close(biases.get_bias(), timms.get_bias())
    # timm's other resize function and index, for a map of 4 x 7: 7 x 13 offsets.
    expected = RelPosBias((4, 7), num_heads=3)
    table = timms.relative_position_bias_table
    stretched = resize_rel_pos_bias_table_simple(table, (4, 7), (7 * 13, 3))
    expected.relative_position_bias_table = nn.Parameter(stretched.detach())
    biases.size = (4, 7)
    torch.testing.assert_close(biases.get_bias(), expected.get_bias())
    biases.get_bias().sum().backward()
    assert table.grad is not None


def test_maps_of_unpadded_network_stay_aligned() -> None:
    # The receptive field of a position is centered in its stride x stride square of pixels.
    model = small("inception_v3", strides=(4, 8)).eval()
    image = torch.randn(1, 3, 203, 269, requires_grad=True)
    for level, stride in zip(model(image), model.feature_strides, strict=True):
        row, column = level.shape[-2] // 2, level.shape[-1] // 2
        gradient, = torch.autograd.grad(level[0, :, row, column].sum(), image, retain_graph=True)
        gradient_map = gradient[0].abs().sum(0)
        center_y = (gradient_map.sum(1) * (torch.arange(203) + 0.5)).sum() / gradient_map.sum()
        center_x = (gradient_map.sum(0) * (torch.arange(269) + 0.5)).sum() / gradient_map.sum()
        assert abs(center_y - (row + 0.5) * stride) < 0.6 * stride
        assert abs(center_x - (column + 0.5) * stride) < 0.6 * stride


def test_fixed_size_model_pads_small_and_rejects_large_images() -> None:
    model = small("test_vit_relpos", strides=None, img_size=64).eval()
    with torch.no_grad():
        level, = model(torch.randn(1, 3, 40, 50))
    assert level.shape == (1, model.feature_channels[0], 3, 4)
    with pytest.raises(ConfigError, match="100 x 40 pixels, expected at most 64 x 64; .*img_size"):
        model(torch.zeros(1, 3, 100, 40))


def test_config_builds_backbone_with_channels_on_meta_device() -> None:
    config = dict(type="TimmBackbone", name="test_resnet", pretrained=True, strides=(8, 16))
    with DefaultScope.overwrite_default_scope("detkit"):
        assert isinstance(MODELS.build(dict(config)), TimmBackbone)
        assert get_feature_channels(config) == (48, 192)
    with torch.device("meta"):
        assert all(weight.is_meta for weight in TimmBackbone("test_vit", strides=None).parameters())


def test_depth_of_a_layer_counts_from_the_stem_to_the_head() -> None:
    model = small("test_vit")  # six blocks: depths 0, 1 to 6, and 7 for later modules
    table = {"pos_embed": 0, "patch_embed.proj.weight": 0, "blocks.0.attn.qkv.weight": 1,
             "blocks.5.mlp.fc2.bias": 6}
    for name, depth in table.items():
        assert model.get_layer_depth(f"backbone.body.{name}", "backbone.") == (depth, 8)
        assert model.get_layer_depth(f"body.{name}") == (depth, 8)
    assert model.get_layer_depth("rpn_head.rpn_conv.weight", "backbone.") == (7, 8)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
def test_every_parameter_has_a_depth_and_depths_do_not_decrease(name: str) -> None:
    model = small(name)
    layer_depths = [model.get_layer_depth(key) for key, _ in model.named_parameters()]
    depths = [depth for depth, _ in layer_depths]
    assert len({total for _, total in layer_depths}) == 1
    assert min(depths) == 0 and max(depths) == layer_depths[0][1] - 2


@pytest.mark.parametrize("arguments, error, words", [
    (dict(name="resnet51"), ConfigError, "did you mean .*resnet50"),
    (dict(name=50), ConfigError, "a model of timm"),
    (dict(name="resnet18.nope"), WeightsError, "'nope', expected one of .*a1_in1k.*init_cfg"),
    (dict(frozen_stage=1), ConfigError, "no argument 'frozen_stage'.*'frozen_stages'"),
    (dict(frozen_stages=5), ConfigError, "got 5, expected a whole number from -1 to 4"),
    (dict(frozen_stages=True), ConfigError, "frozen_stages"),
    (dict(strides=(4, 64)), ConfigError, "expected some of 2, 4, 8, 16, 32"),
    (dict(strides=(8, 4)), ConfigError, "ascending"),
    *((dict(strides=strides), ConfigError, "strides: got .*ascending whole numbers")
      for strides in ((), (4, 8, "16"), (4, None), [[4]], "a", 4, (True, 4), (4.0, 8.0))),
    (dict(name="test_vit", strides=(4, 8)), ConfigError,
     r"plain transformer.*stride 16.*SimpleFeaturePyramid"),
    (dict(features_only=True), ConfigError, "'features_only' is not supported"),
    (dict(out_indices=(1,)), ConfigError, "strides="),
    (dict(name="dla34", strides=(4,), with_cp=True), ConfigError, "with_cp.*dla34"),
    (dict(name="test_vit", strides=None, img_size="a"), ConfigError, "cannot build test_vit"),
    (dict(name="pit_ti_224", strides=None, frozen_stages=1), ConfigError, "set frozen_stages=-1"),
], ids=str)
def test_invalid_arguments_are_rejected(
    arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as excinfo:
        TimmBackbone(**{"name": "test_resnet", **arguments})
    assert "\n" not in str(excinfo.value)


def test_output_is_independent_of_other_images_in_batch() -> None:
    model = small("test_maxvit").eval()
    images: Tensor = torch.randn(2, 3, 44, 32)
    with torch.no_grad():
        together = model(images)
        for index in range(2):
            for level, alone in zip(together, model(images[index : index + 1]), strict=True):
                torch.testing.assert_close(level[index : index + 1], alone, rtol=1e-4, atol=1e-5)
