"""Engines of files whose inputs, outputs or numbers are others are refused in one line."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from detkit.errors import ExportError
from detkit.inference.engines.engine import RawDetections
from detkit.inference.engines.graph_data import KEY
from detkit.inference.engines.openvino.shared_core import import_openvino, import_openvino_module
from detkit.inference.engines.ports import run_and_check, try_engine
from detkit.inference.export.graph_file import read_graph

CANVAS = (64, 96)
VALID_OUTPUTS = {
    "boxes": np.zeros((1, 5, 4), np.float32), "scores": np.zeros((1, 5), np.float32),
    "labels": np.zeros((1, 5), np.int64), "counts": np.ones(1, np.int64)
}
INPUTS = {"images": (np.uint8, [-1, *CANVAS, 3]), "valid_hw": (np.int64, [-1, 2])}
# What differs in the outputs, or in the inputs, and what is said of it.
OUTPUTS = {
    "none": (dict(VALID_OUTPUTS), None), "renamed": ({
        "rects": VALID_OUTPUTS["boxes"],
        **{name: VALID_OUTPUTS[name]
           for name in list(VALID_OUTPUTS)[1:]}
    }, "outputs: got rects, scores, labels, counts, expected boxes"),
    "fewer": ({name: VALID_OUTPUTS[name]
               for name in list(VALID_OUTPUTS)[:3]}, "outputs: got boxes, scores"),
    "more": ({**VALID_OUTPUTS, "extra": VALID_OUTPUTS["counts"]}, "outputs: got .*extra"),
    "order": ({name: VALID_OUTPUTS[name]
               for name in reversed(VALID_OUTPUTS)}, "outputs: got counts"),
    "boxes-rank": ({**VALID_OUTPUTS, "boxes": np.zeros((1, 4), np.float32)}, "boxes: got float32"),
    "boxes-side": ({**VALID_OUTPUTS, "boxes": np.zeros((1, 5, 5),
                                                       np.float32)}, "boxes: got float32"),
    "boxes-dtype": ({**VALID_OUTPUTS, "boxes": np.zeros((1, 5, 4), np.int64)}, "boxes: got int64"),
    "labels-dtype": ({**VALID_OUTPUTS, "labels": np.zeros((1, 5),
                                                          np.float32)}, "labels: got float32"),
    "rooms-differ": ({**VALID_OUTPUTS, "scores": np.zeros((1, 6),
                                                          np.float32)}, "scores: got float32"),
    "other-batch": ({**VALID_OUTPUTS, "counts": np.ones(3, np.int64)}, "counts: got int64"),
    "counts-high": ({**VALID_OUTPUTS, "counts": np.full(1, 6, np.int64)},
                    "counts: got 6 to 6, expected 0"),
    "counts-low": ({**VALID_OUTPUTS, "counts": np.full(1, -1, np.int64)}, "counts: got -1 to -1"),
}
INVALID_INPUTS = {
    "canvas": ({**INPUTS, "images": (np.uint8, [-1, 32, 32, 3])}, "images: got uint8"),
    "channels-first": ({**INPUTS, "images": (np.uint8, [-1, 3, *CANVAS])}, "images: got uint8"),
    "rank": ({**INPUTS, "images": (np.uint8, [*CANVAS, 3])}, "images: got uint8"),
    "dtype": ({**INPUTS, "images": (np.float32, [-1, *CANVAS, 3])}, "images: got float32"),
    "one": ({"images": INPUTS["images"]}, "inputs: got images, expected images, valid_hw"),
}


def write_openvino(path, inputs, outputs):
    openvino, ops = import_openvino(), import_openvino_module("opset14")
    parameters = [ops.parameter(shape, dtype, name) for name, (dtype, shape) in inputs.items()]
    results = [ops.result(ops.constant(value)) for value in outputs.values()]
    model = openvino.Model(results, parameters, "odd")
    for port, name in zip([*model.inputs, *model.outputs], [*inputs, *outputs]):
        port.get_tensor().set_names({name})
    openvino.save_model(model, str(path), compress_to_fp16=False)


def write_onnx(path, inputs, outputs):
    onnx = pytest.importorskip("onnx")
    kind = onnx.helper.np_dtype_to_tensor_dtype
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", [f"{name}_held"], [name]) for name in outputs], "odd",
        [onnx.helper.make_tensor_value_info(
            name, kind(np.dtype(dtype)), ["b" if side < 0 else side for side in shape])
         for name, (dtype, shape) in inputs.items()],
        [onnx.helper.make_tensor_value_info(name, kind(value.dtype), value.shape)
         for name, value in outputs.items()],
        [onnx.numpy_helper.from_array(value, f"{name}_held") for name, value in outputs.items()])
    opset = [onnx.helper.make_opsetid("", 19)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=9), path)


def write_torch(path, inputs, outputs):
    tensors = {name: torch.from_numpy(value.copy()) for name, value in outputs.items()}
    steps = [{"op": "aten.clone.default", "args": [{"tensor": name}], "kwargs": {}}
             for name in outputs]
    values = [{"value": 2 + index} for index in range(len(steps))]
    save_file(tensors, str(path),
              {KEY: json.dumps({"version": 1, "steps": steps, "outputs": values})})


FORMATS = {"openvino": (write_openvino, "graph.xml"), "onnx": (write_onnx, "graph.onnx"),
           "torch": (write_torch, "graph.safetensors")}


def read_and_try(form, folder, inputs, outputs):
    write, name = FORMATS[form]
    write(folder / name, inputs, outputs)
    engine = read_graph(form, folder / name, CANVAS, "f32", device="cpu")
    try_engine(engine, folder / name, 5)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("odd", OUTPUTS)
def test_outputs_that_differ_are_one_line(form, odd, tmp_path):
    outputs, message = OUTPUTS[odd]
    if message is None:
        read_and_try(form, tmp_path, INPUTS, outputs)
        return
    if form == "torch" and odd in ("renamed", "boxes-dtype"):
        return  # Its outputs have an order and no names, and are turned into floats.
    if form == "torch" and odd in ("fewer", "more", "order"):
        message = "cannot be run|: got"
    with pytest.raises(ExportError, match=message) as caught:
        read_and_try(form, tmp_path, INPUTS, outputs)
    assert "graph." in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["openvino", "onnx"])
@pytest.mark.parametrize("odd", INVALID_INPUTS)
def test_inputs_that_differ_are_one_line(form, odd, tmp_path):
    inputs, message = INVALID_INPUTS[odd]
    with pytest.raises(ExportError, match=message) as caught:
        read_and_try(form, tmp_path, inputs, VALID_OUTPUTS)
    assert "graph." in str(caught.value) and "\n" not in str(caught.value)


class FakeEngine:
    """Gives what it was made with."""

    name, precision, input_hw, num_streams = "fake", "f32", CANVAS, 1

    def __init__(self, output):
        self.output = output

    def __call__(self, images, image_hw):
        if isinstance(self.output, Exception):
            raise self.output
        return self.output

    def close(self):
        """Nothing."""


def test_an_engine_s_own_error_is_one_line_and_a_lack_of_memory_stays_one():
    images, valid = np.zeros((1, *CANVAS, 3), np.uint8), np.ones((1, 2), np.int64)
    with pytest.raises(ExportError, match="the engine fake: cannot be run: got IndexError: a b"):
        run_and_check(FakeEngine(IndexError("a\nb")), images, valid)
    with pytest.raises(RuntimeError, match="alloc"):
        run_and_check(FakeEngine(RuntimeError("std::bad_alloc")), images, valid)
    valid_output = RawDetections(**VALID_OUTPUTS)
    assert run_and_check(FakeEngine(valid_output), images, valid) is valid_output


def write_openvino_xml(path, constant="", layer="", head=""):
    """A model that adds a constant to its input, of 16 bytes of weights."""
    path.with_suffix(".bin").write_bytes(bytes(16))
    constant = constant or 'element_type="f32" shape="4" offset="0" size="16"'
    path.write_text(f"""<?xml version="1.0"?>{head}<net name="m" version="11"><layers>
        {layer}<layer id="1" name="c" type="Const" version="opset1"><data {constant}/><output>
        <port id="0" precision="FP32"><dim>4</dim></port></output></layer>
        <layer id="2" name="r" type="Result" version="opset1"><input>
        <port id="0" precision="FP32"><dim>4</dim></port></input></layer></layers>
        <edges><edge from-layer="1" from-port="0" to-layer="2" to-port="0"/></edges></net>""")
    return path


@pytest.mark.parametrize(("spoil", "message"), [
    # 2**62 + 1 numbers of 4 bytes are 4 bytes in 64 bits: a bus error ends OpenVINO's process.
    ({"constant": 'element_type="f32" shape="4611686018427387905" offset="0" size="4"'},
     "a constant of 4 bytes, expected 18446744073709551620"),
    ({"constant": 'element_type="f32" shape="4" offset="8" size="16"'}, "8 to 24 of 16 bytes"),
    ({"constant": 'element_type="f32" shape="4" offset="-16" size="16"'}, "-16 to 0"),
    ({"constant": 'element_type="f32" shape="-4" offset="0" size="16"'}, "a constant of 16"),
    ({"constant": 'element_type="string" shape="4" offset="0" size="16"'}, "string"),
    ({"constant": 'element_type="f32" shape="4"'}, "offset"),
    ({"layer": '<layer id="0" name="x" type="Own" version="extension"/>'}, "extension"),
    ({"layer": "<a>" * 100 + "</a>" * 100}, "deeper than"),
    ({"head": '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'}, "DOCTYPE"),
    ({"layer": "<a>"}, "mismatched tag"),
    ({}, "inputs: got none"),
], ids=["overflow", "beyond", "before", "negative", "text", "no-place", "extension", "deep",
        "doctype", "no-xml", "no-inputs"])
def test_an_openvino_file_that_leads_elsewhere_is_one_line(spoil, message, tmp_path):
    with pytest.raises(ExportError, match=message) as caught:
        read_graph("openvino", write_openvino_xml(tmp_path / "graph.xml", **spoil), CANVAS, "f32",
                   device="cpu")
    assert "graph.xml" in str(caught.value) and "\n" not in str(caught.value)
