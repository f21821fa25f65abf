"""BiFPN and EfficientDetHead: equations of the paper, published parameter counts, any sizes."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from detkit.config.infer.infer_fields import infer_fields
from detkit.config.load_config import load_config
from detkit.errors import ConfigError
from detkit.models.heads import EfficientDetHead
from detkit.models.necks import BiFPN
from detkit.models.necks.bifpn_layer import BiFPNLayer, downsample, weighted_fusion
from detkit.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
GN = dict(type="GN", num_groups=2)


def maps(channels: list[int], sizes: list[tuple[int, int]], batch: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(batch, c, *s, generator=generator) for c, s in zip(channels, sizes)]


def without_convolutions(layer: BiFPNLayer) -> BiFPNLayer:
    """Replace each node's activation, convolution and norm by the identity."""
    for node in [*layer.down, *layer.up]:
        node.act = node.conv = node.norm = nn.Identity()
    return layer


def constant_map(value: float, side: int) -> Tensor:
    return torch.full((1, 1, side, side), float(value))


def test_three_levels_match_equations_of_paper() -> None:
    layer = without_convolutions(BiFPNLayer(3, 1, lambda channels: nn.Identity()))
    with torch.no_grad():
        layer.down[1].weight.copy_(torch.tensor([1.0, 3.0]))
        layer.down[0].weight.copy_(torch.tensor([1.0, 1.0]))
        layer.up[0].weight.copy_(torch.tensor([2.0, 1.0, 1.0]))
        layer.up[1].weight.copy_(torch.tensor([-5.0, 1.0]))
        outs = layer([constant_map(8, 4), constant_map(4, 2), constant_map(12, 1)],
                     [constant_map(0, 4), constant_map(6, 2), constant_map(7, 1)])
    # Maps are constant, so that resizing has no effect. Without the 1e-4:
    # middle_td = (1 * 4 + 3 * 12) / 4 = 10
    # fine_out = (1 * 8 + 1 * 10) / 2 = 9
    # middle_out = (2 * 6 + 1 * 10 + 1 * 9) / 4 = 7.75
    # coarse_out = (relu(-5) * 7 + 1 * 7.75) / 1 = 7.75
    for out, side, value in zip(outs, (4, 2, 1), (9, 7.75, 7.75), strict=True):
        torch.testing.assert_close(out, constant_map(value, side), rtol=2e-4, atol=0)


def test_fusion_weights_sum_to_one_minus_epsilon() -> None:
    # 1 / (1 + 1 + 0.0001) of each.
    out = weighted_fusion([torch.ones(1), torch.ones(1)], torch.ones(2))
    assert out.item() == pytest.approx(2 / 2.0001, abs=1e-7)
    assert weighted_fusion([torch.ones(1)], torch.tensor([-1.0])).item() == 0.0


def test_resizing_is_nearest_top_down_and_max_pooling_bottom_up() -> None:
    layer = without_convolutions(BiFPNLayer(2, 1, lambda channels: nn.Identity()))
    fine = torch.zeros(1, 1, 3, 3)
    fine[0, 0, 2, 0] = 6.0
    coarse = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    with torch.no_grad():
        outs = layer([fine, coarse], [fine, coarse])
    # Rows 0, 1, 2 of the fine map read rows 0, 0, 1 of the coarse (floor of i * 2 / 3).
    down = (fine + torch.tensor([[1.0, 1, 2], [1, 1, 2], [3, 3, 4]])) / 2.0001
    torch.testing.assert_close(outs[0], down)
    # Windows centered at rows and columns 0 and 2: (6 + 3) / 2 is the maximum of the lower left
    # 2 x 2 square, and 4 / 2 of the lower right one.
    up = torch.tensor([[1.0 / 2, 2.0 / 2], [9.0 / 2, 4.0 / 2]])
    torch.testing.assert_close(outs[1][0, 0], (coarse[0, 0] + up) / 2, rtol=2e-4, atol=0)


def test_neck_matches_explicit_equations_of_paper() -> None:
    torch.manual_seed(0)
    neck = BiFPN([3, 5], 4, num_layers=1, num_outs=3, norm_cfg=GN)
    for parameter in neck.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.3)
    fine, middle = inputs = maps([3, 5], [(7, 10), (4, 5)])
    state = neck.state_dict()

    def normed(x: Tensor, at: str) -> Tensor:
        return F.group_norm(x, 2, state[f"{at}.weight"], state[f"{at}.bias"])

    def projected(x: Tensor, at: str) -> Tensor:
        return normed(F.conv2d(x, state[f"{at}.0.weight"]), f"{at}.1")

    def node(at: str, *terms: Tensor) -> Tensor:
        w = F.relu(state[f"{at}.weight"])
        x = sum(a * b for a, b in zip(w, terms, strict=True)) / (w.sum() + 1e-4)
        x = x * torch.sigmoid(x)
        x = F.conv2d(x, state[f"{at}.conv.0.weight"], padding=1, groups=4)
        return normed(F.conv2d(x, state[f"{at}.conv.1.weight"]), f"{at}.norm")

    def up(x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, like.shape[2:], mode="nearest")

    def down(x: Tensor) -> Tensor:  # zero padding would be wrong for negative maxima
        return F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=-torch.inf), 3, 2)

    p3, p4, p4_again = (projected(x, at) for x, at in (
        (fine, "project_down.0"), (middle, "project_down.1"), (middle, "project_up.0")))
    p5 = down(projected(middle, "project_extra"))
    p4_td = node("layers.0.down.1", p4, up(p5, p4))
    p3_out = node("layers.0.down.0", p3, up(p4_td, p3))
    p4_out = node("layers.0.up.0", p4_again, p4_td, down(p3_out))
    p5_out = node("layers.0.up.1", p5, down(p4_out))
    for first, second in zip(neck(inputs), (p3_out, p4_out, p5_out), strict=True):
        torch.testing.assert_close(first, second)


def test_efficientdet_d0_has_as_many_parameters_as_published() -> None:
    # 3,877,763 in total for 90 classes: README of the public PyTorch port (rwightman,
    # efficientdet-pytorch), without doubled biases; the paper says 3.9 M. Of these the backbone:
    # torchvision's EfficientNet-B0 without its last convolution and classifier.
    from torchvision.models import efficientnet_b0

    backbone = efficientnet_b0().features[:-1]
    neck = BiFPN([40, 112, 320], 64, num_layers=3, num_outs=5)
    head = EfficientDetHead(num_classes=90, in_channels=64, feat_channels=64, **HEAD)
    count = sum(p.numel() for part in (backbone, neck, head) for p in part.parameters())
    assert count == 3_877_763


HEAD: dict[str, Any] = dict(
    anchor_generator=dict(type="AnchorGenerator", octave_base_scale=4, scales_per_octave=3,
                          ratios=[0.5, 1.0, 2.0], strides=[8, 16, 32, 64, 128]),
    bbox_coder=dict(type="DeltaXYWHBBoxCoder"),
    loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=1.5, alpha=0.25),
    loss_bbox=dict(type="SmoothL1Loss", beta=0.1),
)


@pytest.mark.parametrize("sizes", [
    [(64, 64), (32, 32), (16, 16), (8, 8)],
    [(51, 80), (26, 40), (13, 20), (7, 10)],
    [(51, 81), (25, 40), (12, 20), (6, 10)],
    [(1, 1), (1, 1), (1, 1), (1, 1)],
], ids=["even", "rounded up", "rounded down", "one pixel"])
@pytest.mark.parametrize("start_level, num_outs", [(0, 4), (0, 5), (1, 5), (3, 2)])
def test_any_sizes_give_finite_maps_of_same_sizes(
    sizes: list[tuple[int, int]], start_level: int, num_outs: int
) -> None:
    channels = [3, 4, 6, 8]
    neck = BiFPN(channels, 8, num_layers=2, num_outs=num_outs, start_level=start_level).eval()
    expected = list(sizes[start_level:])
    while len(expected) < num_outs:
        height, width = expected[-1]
        expected.append(((height + 1) // 2, (width + 1) // 2))
    for batch in (0, 1):
        with torch.no_grad():
            levels = neck(maps(channels, sizes, batch))
        assert [tuple(level.shape) for level in levels] == [(batch, 8, *s) for s in expected]
        assert all(level.isfinite().all() for level in levels)


@pytest.mark.parametrize("height, width", [(1, 1), (5, 8), (9, 2)])
def test_halving_rounds_up(height: int, width: int) -> None:
    assert downsample(torch.zeros(1, 1, height,
                                  width)).shape[2:] == (-(-height // 2), -(-width // 2))


@pytest.mark.parametrize("norm_cfg", [None, GN], ids=["BN", "GN"])
@pytest.mark.parametrize("channels, num_outs", [([3, 4, 8], 5), ([3, 4, 5], 3), ([8], 2)])
def test_backward_reaches_every_parameter(
    channels: list[int], num_outs: int, norm_cfg: dict[str, Any] | None
) -> None:
    torch.manual_seed(0)
    neck = BiFPN(channels, 8, num_layers=3, num_outs=num_outs, norm_cfg=norm_cfg)
    neck.init_weights()
    inputs = maps(channels, [(40, 33), (20, 17), (10, 9)])
    sum((level**3).sum() for level in neck(inputs)).backward()
    for name, parameter in neck.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_zero_fusion_weight_keeps_output_finite() -> None:
    neck = BiFPN([3, 4], 8, num_outs=3, norm_cfg=GN)
    for name, parameter in neck.named_parameters():
        if parameter.dim() == 1 and name.split(".")[-2].isdigit():  # layers.0.down.1.weight
            parameter.data.fill_(-1.0)
    levels = neck(maps([3, 4], [(8, 8), (4, 4)]))
    sum(level.sum() for level in levels).backward()
    assert all(level.isfinite().all() for level in levels)
    assert all(p.grad is None or p.grad.isfinite().all() for p in neck.parameters())


def test_norm_cfg_default_and_override() -> None:
    norms = [m for m in BiFPN([3], num_outs=2).modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and all((m.eps, m.momentum) == (1e-3, 0.01) for m in norms)
    grouped = BiFPN([3], num_outs=2, norm_cfg=dict(type="GN", num_groups=16))
    assert not [m for m in grouped.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [m for m in grouped.modules() if isinstance(m, nn.GroupNorm)]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_gives_the_same_maps(copied: Any) -> None:
    neck = BiFPN([3, 4], 8, num_outs=3).eval()
    inputs = maps([3, 4], [(9, 12), (5, 6)])
    for first, second in zip(neck(inputs), copied(neck)(inputs), strict=True):
        assert torch.equal(first, second)


def test_torch_export_and_channels_last_give_the_same_maps() -> None:
    neck = BiFPN([3, 4], 8, num_outs=4).eval()
    inputs = maps([3, 4], [(9, 12), (5, 6)])
    last = [x.to(memory_format=torch.channels_last) for x in inputs]
    with torch.no_grad():
        exported = torch.export.export(neck, (inputs,)).module()
        for first, second, third in zip(neck(inputs), exported(inputs), neck(last), strict=True):
            torch.testing.assert_close(first, second)
            torch.testing.assert_close(first, third)


def test_torch_compile_gives_one_graph_and_same_gradients() -> None:
    neck = BiFPN([3, 4], 8, num_layers=2, num_outs=3, norm_cfg=GN)
    compiled = torch.compile(neck, fullgraph=True, backend="aot_eager")
    inputs = maps([3, 4], [(9, 12), (5, 6)])
    gradients = []
    for model in (neck, compiled):
        neck.zero_grad()
        sum((level**2).sum() for level in model(inputs)).backward()
        gradients.append([p.grad for p in neck.parameters()])
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


def test_autocast_maps_are_bfloat16_and_close() -> None:
    neck = BiFPN([3, 4], 8, num_outs=3, norm_cfg=GN)
    inputs = maps([3, 4], [(16, 16), (8, 8)])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        levels = neck(inputs)
    for first, second in zip(levels, neck(inputs), strict=True):
        # 8 bits in each of tens of steps; outputs are normalized to std 1.
        torch.testing.assert_close(first.float(), second, rtol=0, atol=0.2)


@pytest.mark.parametrize("arguments, word", [
    (dict(in_channels=[]), "in_channels"), (dict(in_channels=3), "in_channels"),
    (dict(in_channels=[3, 0]), "in_channels"), (dict(start_level=3), "start_level"),
    (dict(start_level=-1), "start_level"), (dict(num_outs=2), "num_outs"),
    (dict(in_channels=[3], num_outs=1), "num_outs"), (dict(num_layers=0), "num_layers"),
    (dict(out_channels=0), "out_channels"), (dict(norm_cfg=dict(type="BM")), "norm_cfg"),
    (dict(out_channels=10, norm_cfg=dict(type="GN", num_groups=4)), "norm_cfg"),
    (dict(norm_cfg=dict(type="GN")), "norm_cfg"), (dict(norm_cfg="BN"), "norm_cfg"),
    (dict(in_channels=None), "in_channels"), (dict(out_channels="8"), "out_channels"),
], ids=str)
def test_invalid_numbers_are_rejected_by_name(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=f"BiFPN: {word}: got"):
        BiFPN(**{"in_channels": [3, 4, 5], **arguments})


def test_wrong_number_of_maps_is_rejected() -> None:
    with pytest.raises(ConfigError, match="got 1, expected 2"):
        BiFPN([3, 4])(maps([3], [(4, 4)]))


def detector(config: str, changes: dict[str, Any], classes: int = 1) -> Any:
    """Build the config's model with changes."""
    cfg = load_config(CONFIGS / config, changes)
    infer_fields(cfg, [f"class {number}" for number in range(classes)])
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("detkit"):
        return MODELS.build(cfg.model)


def sample(side: int) -> DetDataSample:
    sample = DetDataSample(metainfo=dict(
        img_shape=(side, side), ori_shape=(side, side), pad_shape=(side, side),
        batch_input_shape=(side, side), scale_factor=(1.0, 1.0), img_id=0))
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[12.0, 12, 100, 100]]), labels=torch.tensor([0]))
    return sample


def test_config_efficientdet_d0_has_published_size() -> None:
    model = detector("efficientdet_d0.py", {}, classes=90)
    assert sum(p.numel() for p in model.parameters()) == 3_877_763


@pytest.mark.parametrize("config, changes", [
    ("cascade_swin_nano.py",
     {"model.neck": dict(_delete_=True, type="BiFPN", out_channels=64, num_layers=2,
                         num_outs=5)}),
    ("efficientdet_d0.py",
     {"model.backbone": dict(_delete_=True, type="SwinTransformer", arch="micro",
                             out_indices=(1, 2, 3)),
      "model.neck.num_layers": 1}),
], ids=["cascade", "retinanet"])
def test_detector_with_bifpn_trains_all_parameters_and_predicts(
    config: str, changes: dict[str, Any]
) -> None:
    side = 128
    model = detector(config, changes)
    images = torch.rand(2, 3, side, side)
    samples = [sample(side), sample(side)]
    with DefaultScope.overwrite_default_scope("detkit"):
        losses = model.train()(images, samples, mode="loss")
        total = model.parse_losses(losses)[0]
        total.backward()
        with torch.no_grad():
            predictions = model.eval()(images, samples, mode="predict")
    assert total.isfinite() and len(predictions) == 2
    without = [name for name, p in model.neck.named_parameters() if p.grad is None]
    assert not without


def test_head_initial_scores_equal_prior_prob() -> None:
    head = EfficientDetHead(num_classes=3, in_channels=4, feat_channels=8, **HEAD).eval()
    head.init_weights()
    for scores, deltas in zip(*head([torch.zeros(1, 4, 2, 3)] * 5), strict=True):
        assert scores.shape == (1, 9 * 3, 2, 3) and deltas.shape == (1, 9 * 4, 2, 3)
        # Convolutions without bias, norms and SiLU map zeros to zeros.
        torch.testing.assert_close(scores.sigmoid(), torch.full_like(scores, 0.01))


def test_head_shares_convolutions_but_not_norms_between_levels() -> None:
    head = EfficientDetHead(num_classes=3, in_channels=4, feat_channels=8, **HEAD).eval()
    features = [torch.randn(1, 4, 3, 3)] * 5
    before = head(features)[0]
    assert torch.equal(before[0], before[4])
    head.cls_norms[4][0].bias.data.fill_(1.0)
    after = head(features)[0]
    assert torch.equal(after[0], before[0]) and not torch.allclose(after[4], before[4])
    head.cls_tower[0][1].weight.data.mul_(2)
    assert not torch.allclose(head(features)[0][0], before[0])


@pytest.mark.parametrize("count", [0, 3, 4, 6])
def test_head_rejects_wrong_number_of_maps(count: int) -> None:
    head = EfficientDetHead(num_classes=3, in_channels=4, feat_channels=8, **HEAD)
    with pytest.raises(ConfigError, match=f"maps of the neck: got {count}, expected 5"):
        head([torch.zeros(1, 4, 2, 2)] * count)


@pytest.mark.parametrize("arguments, message", [
    (dict(num_ins=4), "strides of anchor_generator: got 5, expected 4"),
    (dict(num_ins=0), "num_ins: got 0"), (dict(stacked_convs=0), "stacked_convs: got 0"),
], ids=str)
def test_head_rejects_invalid_levels(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"EfficientDetHead: {message}"):
        EfficientDetHead(num_classes=3, in_channels=4, feat_channels=8, **{**HEAD, **arguments})
