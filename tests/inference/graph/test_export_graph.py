"""A graph can be traced and exported: no loop over images, no operator of Python, any batch."""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_parity import KINDS
from thumbnails import build
from torch import Tensor

from detkit.inference.engines.openvino.shared_core import openvino_core
from detkit.inference.graph.build import build_static_graph

CANVAS = (96, 128)
BOX, SCORE = 0.01, 1e-4
EXPORTED_KINDS = [
    "cascade", "resnet_dcn_backbone", "resnet_dcnv2_backbone", "convnextv2_dcn_backbone",
    "efficientnet_backbone", "swin_backbone", "timm_backbone", "deformable_fpn", "bifpn", "retina",
    "efficientdet", "fcos", "atss", "rtmdet"
]


def mark_slow_except(*quick: str) -> list[Any]:
    return [kind if kind in quick else pytest.param(kind, marks=pytest.mark.slow)
            for kind in EXPORTED_KINDS]


def batch(size: int) -> tuple[Tensor, Tensor]:
    """Smooth pictures of which each fills another part of its canvas."""
    torch.manual_seed(size)
    coarse = torch.rand(size, 3, 8, 8) * 255
    images = torch.nn.functional.interpolate(coarse, size=CANVAS, mode="bilinear")
    image_hw = torch.tensor([[96 - 7 * row, 128 - 11 * row] for row in range(size)])
    return images.permute(0, 2, 3, 1).to(torch.uint8).contiguous(), image_hw


def trace_graph(graph: torch.nn.Module) -> Any:
    with torch.no_grad():
        return torch.jit.trace(graph, batch(2), check_trace=False)


def assert_alike(actual: Any, expected: Any) -> None:
    """At least 95 boxes in a hundred are the same: libraries round differently, and the last digit
    of an overlap just at the threshold decides about a box, and about those after it.
    """
    boxes, scores, labels, counts = (torch.from_numpy(np.asarray(item)) for item in actual)
    assert (counts - expected[3]).abs().max() <= 2 and counts.min() > 20
    assert (scores.diff(dim=1) <= 0).all()
    matches = (boxes[:, :, None] - expected[0][:, None]).abs().amax(-1) <= BOX
    matches &= (scores[:, :, None] - expected[1][:, None]).abs() <= SCORE
    matches &= labels[:, :, None] == expected[2][:, None]
    for row, count in enumerate(counts.tolist()):
        assert matches[row, :count].any(dim=1).float().mean() >= 0.95


@pytest.mark.parametrize(
    "kind", mark_slow_except("cascade", "resnet_dcn_backbone", "swin_backbone", "rtmdet"))
def test_trace_has_no_loops_and_works_for_other_batch_sizes(kind: str) -> None:
    graph = build_static_graph(build(KINDS[kind]), CANVAS)
    trace = trace_graph(graph)
    kinds = {node.kind() for node in trace.inlined_graph.nodes()}
    assert not kinds & {"prim::Loop", "prim::If", "prim::PythonOp", "aten::nonzero"}, kinds
    # One suppression for proposals and one for results, however many images.
    calls = [node.kind() for node in trace.inlined_graph.nodes()].count("torchvision::nms")
    assert calls == (2 if hasattr(graph, "rpn") else 1)
    for size in (1, 3):
        with torch.inference_mode():
            expected, actual = graph(*batch(size)), trace(*batch(size))
        assert_alike(actual, expected)


@pytest.mark.parametrize("kind", mark_slow_except("resnet_dcnv2_backbone"))
def test_openvino_finds_what_torch_finds(kind: str) -> None:
    openvino = pytest.importorskip("openvino")
    graph = build_static_graph(build(KINDS[kind]), CANVAS)
    model = openvino.convert_model(
        trace_graph(graph), example_input=batch(2),
        input=[openvino.PartialShape([-1, *CANVAS, 3]), openvino.PartialShape([-1, 2])])
    compiled = openvino_core().compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    with torch.inference_mode():
        expected = graph(*batch(3))
    results = compiled([item.numpy() for item in batch(3)])
    assert_alike([results[index] for index in range(4)], expected)


@pytest.mark.parametrize("kind", mark_slow_except())
def test_onnxruntime_finds_what_torch_finds(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    graph = build_static_graph(build(KINDS[kind]), CANVAS)
    path = tmp_path / "graph.onnx"
    with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(
            graph, batch(2), path, dynamo=True, opset_version=20, verbose=False,
            external_data=False, input_names=["images", "valid_hw"],
            dynamic_shapes=({0: torch.export.Dim("batch")},) * 2)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images, image_hw = batch(3)
    with torch.inference_mode():
        expected = graph(images, image_hw)
    assert_alike(session.run(None, {"images": images.numpy(), "valid_hw": image_hw.numpy()}),
                 expected)


@pytest.mark.parametrize("kind", ["resnet_dcn_backbone", "resnet_dcnv2_backbone"])
def test_deformable_layers_of_mmcv_run_where_autocast_brings_bfloat16(kind: str) -> None:
    graph = build_static_graph(build(KINDS[kind]), CANVAS)
    with torch.inference_mode():
        expected = graph(*batch(1))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            actual = graph(*batch(1))
    # 8 bits of mantissa over the depth of a network: the same number of results, near scores.
    assert (actual[3] - expected[3]).abs().max() <= 0.1 * expected[3].max()
    assert (actual[1].float() - expected[1]).abs().mean() < 0.02


def test_a_graph_shares_the_weights_and_leaves_the_model_as_it_was() -> None:
    model = build(KINDS["resnet_dcn_backbone"])
    before = {name: type(module) for name, module in model.named_modules()}
    graph = build_static_graph(model, CANVAS)
    pointers = {item.data_ptr() for item in model.parameters()}
    assert {item.data_ptr() for item in graph.parameters()} <= pointers
    assert {name: type(module) for name, module in model.named_modules()} == before
    assert all(item.requires_grad for item in model.backbone.layer4.parameters())
    first = graph(*batch(1))[1]
    with torch.no_grad():
        model.roi_head.bbox_head[2].fc_cls.weight.mul_(2)
    assert not torch.equal(graph(*batch(1))[1], first)
