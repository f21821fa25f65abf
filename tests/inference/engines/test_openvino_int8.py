"""Eight bits are for the network; what computes coordinates keeps its floats."""

import pytest

from detkit.errors import ExportError
from detkit.inference.engines.openvino.convert import build_openvino_model, get_network_module_names
from detkit.inference.engines.openvino.int8 import has_int8_instructions, quantize

CANVAS = (64, 96)


def test_network_modules_hold_all_weights(graphs):
    graph = graphs["cascade"]
    network_modules = get_network_module_names(graph)
    modules = dict(graph.named_modules())
    weights = {
        id(weight)
        for module_name in network_modules
        for weight in modules[module_name].parameters()
    }
    assert weights == {id(weight) for weight in graph.parameters()} and len(weights) > 20
    module_types = {
        type(module)
        for module_name in network_modules
        for module in modules[module_name].modules()
    }
    assert not [
        module_type for module_type in module_types if "inference.graph" in module_type.__module__
    ]


def test_without_pictures_there_is_no_calibration(graphs):
    with pytest.raises(ExportError, match="--data"):
        quantize(None, [], [])


@pytest.mark.parametrize(("cpu_info", "expected"), [
    ("", True),
    ("processor : 0\nflags : fpu avx2 fma\n", False),
    ("processor : 0\nflags : fpu avx2 avx512_vnni\n", True),
    ("Features : fp asimd asimddp\n", True),
    ("Features : fp asimd\n", False),
], ids=["nothing", "avx2", "vnni", "arm", "old arm"])
def test_int8_instructions_are_read_from_cpu_flags(cpu_info, expected, tmp_path):
    (tmp_path / "cpuinfo").write_text(cpu_info)
    assert has_int8_instructions(tmp_path / "cpuinfo") is expected
    assert has_int8_instructions(tmp_path / "gone") is True


@pytest.mark.slow
@pytest.mark.parametrize("bytes_multiplied", [False, True])
def test_roi_heads_are_int8_only_with_int8_instructions(
    graphs, image_batch, bytes_multiplied, monkeypatch
):
    monkeypatch.setattr("detkit.inference.engines.openvino.int8.has_int8_instructions",
                        lambda: bytes_multiplied)
    graph = graphs["cascade"]
    calibration_images = [(image, tuple(valid)) for image, valid in zip(*image_batch)]
    model = quantize(build_openvino_model(graph, CANVAS), get_network_module_names(graph),
                     calibration_images)
    inputs = [node.input_value(0).get_node().get_type_name() for node in model.get_ops()
              if node.get_type_name() == "MatMul" and "roi_head" in node.get_friendly_name()]
    assert len(inputs) > 6
    assert ("FakeQuantize" in inputs) is bytes_multiplied


@pytest.mark.slow
def test_only_network_layers_are_quantized(graphs, image_batch):
    graph = graphs["cascade"]
    network_modules = get_network_module_names(graph)
    calibration_images = [(image, tuple(valid)) for image, valid in zip(*image_batch)]
    model = quantize(build_openvino_model(graph, CANVAS), network_modules, calibration_images)
    bytes_for = [node.input_value(0).get_node() for node in model.get_ops()
                 if node.get_type_name() == "FakeQuantize"]
    assert len(bytes_for) > 20
    # Those that a part computes, weights, the picture, and what heads read.
    others = {
        node.get_friendly_name()
        for node in bytes_for
        if not node.get_friendly_name().startswith(tuple(
            f"__module.{p}"
            for p in network_modules)) and node.get_type_name() not in ("Constant", "Convert")
    }
    assert not [name for name in others if "decode" in name or "nms" in name]
    reads_bytes: dict[bool, list[bool]] = {True: [], False: []}
    for node in model.get_ops():
        if node.get_type_name() == "Convolution":
            in_neck = "feature_extractor.neck" in node.get_friendly_name()
            reads_bytes[in_neck].append(
                node.input_value(0).get_node().get_type_name() == "FakeQuantize")
    assert reads_bytes[True] and not any(reads_bytes[True])
    # Some read what another layer's bytes became through a pooling.
    assert sum(reads_bytes[False]) > 0.9 * len(reads_bytes[False])
