"""A graph can be traced and exported, without loops or Python operators, for any batch size."""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_parity import DETECTORS
from thumbnails import build
from torch import Tensor

from detkit.inference.engines.openvino.shared_core import openvino_core
from detkit.inference.graph.build import build_static_graph

INPUT_HW = (96, 128)
BOX, SCORE = 0.01, 1e-4
EXPORTED_DETECTORS = [
    "cascade", "resnet_dcn_backbone", "resnet_dcnv2_backbone", "convnextv2_dcn_backbone",
    "efficientnet_backbone", "swin_backbone", "timm_backbone", "deformable_fpn", "bifpn", "retina",
    "efficientdet", "fcos", "atss", "rtmdet"
]


def mark_slow_except(*quick: str) -> list[Any]:
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow)
            for name in EXPORTED_DETECTORS]


def batch(size: int) -> tuple[Tensor, Tensor]:
    """Smooth images of different sizes, and the sizes."""
    torch.manual_seed(size)
    coarse = torch.rand(size, 3, 8, 8) * 255
    images = torch.nn.functional.interpolate(coarse, size=INPUT_HW, mode="bilinear")
    image_hw = torch.tensor([[96 - 7 * row, 128 - 11 * row] for row in range(size)])
    return images.permute(0, 2, 3, 1).to(torch.uint8).contiguous(), image_hw


def trace_graph(graph: torch.nn.Module) -> Any:
    with torch.no_grad():
        return torch.jit.trace(graph, batch(2), check_trace=False)


def assert_similar(actual: Any, expected: Any) -> None:
    """At least 95 % of the boxes match: libraries round differently, and the last digit of an IoU
    at the threshold decides whether a box is kept, and so are those that it suppresses.
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
    "name", mark_slow_except("cascade", "resnet_dcn_backbone", "swin_backbone", "rtmdet"))
def test_trace_has_no_loops_and_works_for_other_batch_sizes(name: str) -> None:
    graph = build_static_graph(build(DETECTORS[name]), INPUT_HW)
    trace = trace_graph(graph)
    node_kinds = {node.kind() for node in trace.inlined_graph.nodes()}
    assert not node_kinds & {"prim::Loop", "prim::If", "prim::PythonOp", "aten::nonzero"}
    # One NMS for proposals and one for results, whatever the number of images.
    calls = [node.kind() for node in trace.inlined_graph.nodes()].count("torchvision::nms")
    assert calls == (2 if hasattr(graph, "rpn") else 1)
    for size in (1, 3):
        with torch.inference_mode():
            expected, actual = graph(*batch(size)), trace(*batch(size))
        assert_similar(actual, expected)


@pytest.mark.parametrize("name", mark_slow_except("resnet_dcnv2_backbone"))
def test_openvino_matches_torch(name: str) -> None:
    openvino = pytest.importorskip("openvino")
    graph = build_static_graph(build(DETECTORS[name]), INPUT_HW)
    model = openvino.convert_model(
        trace_graph(graph), example_input=batch(2),
        input=[openvino.PartialShape([-1, *INPUT_HW, 3]), openvino.PartialShape([-1, 2])])
    compiled = openvino_core().compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    with torch.inference_mode():
        expected = graph(*batch(3))
    results = compiled([item.numpy() for item in batch(3)])
    assert_similar([results[index] for index in range(4)], expected)


@pytest.mark.parametrize("name", mark_slow_except())
def test_onnxruntime_matches_torch(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    graph = build_static_graph(build(DETECTORS[name]), INPUT_HW)
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
    assert_similar(session.run(None, {"images": images.numpy(), "valid_hw": image_hw.numpy()}),
                   expected)


@pytest.mark.parametrize("name", ["resnet_dcn_backbone", "resnet_dcnv2_backbone"])
def test_mmcv_deform_conv_runs_under_bf16_autocast(name: str) -> None:
    graph = build_static_graph(build(DETECTORS[name]), INPUT_HW)
    with torch.inference_mode():
        expected = graph(*batch(1))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            actual = graph(*batch(1))
    # bf16 has 8 bits of mantissa: the number of results and the scores are close.
    assert (actual[3] - expected[3]).abs().max() <= 0.1 * expected[3].max()
    assert (actual[1].float() - expected[1]).abs().mean() < 0.02


def test_graph_shares_weights_and_does_not_change_model() -> None:
    model = build(DETECTORS["resnet_dcn_backbone"])
    before = {name: type(module) for name, module in model.named_modules()}
    graph = build_static_graph(model, INPUT_HW)
    pointers = {item.data_ptr() for item in model.parameters()}
    assert {item.data_ptr() for item in graph.parameters()} <= pointers
    assert {name: type(module) for name, module in model.named_modules()} == before
    assert all(item.requires_grad for item in model.backbone.layer4.parameters())
    first = graph(*batch(1))[1]
    with torch.no_grad():
        model.roi_head.bbox_head[2].fc_cls.weight.mul_(2)
    assert not torch.equal(graph(*batch(1))[1], first)
