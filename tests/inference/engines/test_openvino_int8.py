"""Eight bits are for the network; what computes coordinates keeps its floats."""

import pytest

from detkit.errors import ExportError
from detkit.inference.engines.openvino.convert import openvino_model, parts_of
from detkit.inference.engines.openvino.int8 import multiplies_bytes, quantised

CANVAS = (64, 96)


def test_the_network_is_all_that_holds_weights_and_nothing_of_the_graph_s_own(graphs):
    graph = graphs["cascade"]
    parts = parts_of(graph)
    named = dict(graph.named_modules())
    held = {id(weight) for part in parts for weight in named[part].parameters()}
    assert held == {id(weight) for weight in graph.parameters()} and len(held) > 20
    inside = {type(module) for part in parts for module in named[part].modules()}
    assert not [kind for kind in inside if "inference.graph" in kind.__module__]


def test_without_pictures_there_is_no_calibration(graphs):
    with pytest.raises(ExportError, match="--data"):
        quantised(None, [], [])


@pytest.mark.parametrize(("said", "expected"), [
    ("", True),
    ("processor : 0\nflags : fpu avx2 fma\n", False),
    ("processor : 0\nflags : fpu avx2 avx512_vnni\n", True),
    ("Features : fp asimd asimddp\n", True),
    ("Features : fp asimd\n", False),
], ids=["nothing", "avx2", "vnni", "arm", "old arm"])
def test_the_processor_s_flags_tell_whether_it_multiplies_bytes(said, expected, tmp_path):
    (tmp_path / "cpuinfo").write_text(said)
    assert multiplies_bytes(tmp_path / "cpuinfo") is expected
    assert multiplies_bytes(tmp_path / "gone") is True


@pytest.mark.slow
@pytest.mark.parametrize("bytes_multiplied", [False, True])
def test_roi_heads_are_bytes_only_where_those_are_multiplied(
    graphs, pictures, bytes_multiplied, monkeypatch
):
    monkeypatch.setattr("detkit.inference.engines.openvino.int8.multiplies_bytes",
                        lambda: bytes_multiplied)
    graph = graphs["cascade"]
    canvases = [(image, tuple(valid)) for image, valid in zip(*pictures)]
    model = quantised(openvino_model(graph, CANVAS), parts_of(graph), canvases)
    inputs = [node.input_value(0).get_node().get_type_name() for node in model.get_ops()
              if node.get_type_name() == "MatMul" and "stages" in node.get_friendly_name()]
    assert len(inputs) > 6
    assert ("FakeQuantize" in inputs) is bytes_multiplied


@pytest.mark.slow
def test_only_the_network_s_numbers_are_bytes(graphs, pictures):
    graph = graphs["cascade"]
    parts = parts_of(graph)
    canvases = [(image, tuple(valid)) for image, valid in zip(*pictures)]
    model = quantised(openvino_model(graph, CANVAS), parts, canvases)
    bytes_for = [node.input_value(0).get_node() for node in model.get_ops()
                 if node.get_type_name() == "FakeQuantize"]
    assert len(bytes_for) > 20
    # Those that a part computes, weights, the picture, and what heads read.
    others = {node.get_friendly_name() for node in bytes_for
              if not node.get_friendly_name().startswith(tuple(f"__module.{p}" for p in parts))
              and node.get_type_name() not in ("Constant", "Convert")}
    assert not [name for name in others if "decode" in name or "select" in name]
    reads_bytes: dict[bool, list[bool]] = {True: [], False: []}
    for node in model.get_ops():
        if node.get_type_name() == "Convolution":
            of_the_neck = "pyramid.neck" in node.get_friendly_name()
            reads_bytes[of_the_neck].append(
                node.input_value(0).get_node().get_type_name() == "FakeQuantize")
    assert reads_bytes[True] and not any(reads_bytes[True])
    # Some read what another layer's bytes became through a pooling.
    assert sum(reads_bytes[False]) > 0.9 * len(reads_bytes[False])
