"""int8 quantizes the network only; coordinates stay in float32."""

import pytest

from detkit.errors import ExportError
from detkit.inference.engines.openvino.convert import build_openvino_model, get_network_module_names
from detkit.inference.engines.openvino.int8 import has_int8_instructions, quantize

INPUT_HW = (64, 96)


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


def test_quantize_without_images_raises_export_error(graphs):
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
@pytest.mark.parametrize("has_instructions", [False, True])
def test_roi_heads_are_int8_only_with_int8_instructions(
    graphs, image_batch, has_instructions, monkeypatch
):
    monkeypatch.setattr("detkit.inference.engines.openvino.int8.has_int8_instructions",
                        lambda: has_instructions)
    graph = graphs["cascade"]
    calibration_images = [(image, tuple(valid)) for image, valid in zip(*image_batch)]
    model = quantize(build_openvino_model(graph, INPUT_HW), get_network_module_names(graph),
                     calibration_images)
    inputs = [node.input_value(0).get_node().get_type_name() for node in model.get_ops()
              if node.get_type_name() == "MatMul" and "roi_head" in node.get_friendly_name()]
    assert len(inputs) > 6
    assert ("FakeQuantize" in inputs) is has_instructions


@pytest.mark.slow
def test_only_network_layers_are_quantized(graphs, image_batch):
    graph = graphs["cascade"]
    network_modules = get_network_module_names(graph)
    calibration_images = [(image, tuple(valid)) for image, valid in zip(*image_batch)]
    model = quantize(build_openvino_model(graph, INPUT_HW), network_modules, calibration_images)
    quantized_inputs = [node.input_value(0).get_node() for node in model.get_ops()
                        if node.get_type_name() == "FakeQuantize"]
    assert len(quantized_inputs) > 20
    # Besides outputs of modules: weights, the image, and the inputs of heads.
    others = {
        node.get_friendly_name()
        for node in quantized_inputs
        if not node.get_friendly_name().startswith(tuple(
            f"__module.{p}"
            for p in network_modules)) and node.get_type_name() not in ("Constant", "Convert")
    }
    assert not [name for name in others if "decode" in name or "nms" in name]
    input_is_quantized: dict[bool, list[bool]] = {True: [], False: []}
    for node in model.get_ops():
        if node.get_type_name() == "Convolution":
            in_neck = "feature_extractor.neck" in node.get_friendly_name()
            input_is_quantized[in_neck].append(
                node.input_value(0).get_node().get_type_name() == "FakeQuantize")
    assert input_is_quantized[True] and not any(input_is_quantized[True])
    # Some inputs are pooled outputs of quantized layers.
    assert sum(input_is_quantized[False]) > 0.9 * len(input_is_quantized[False])
