"""Files with invalid inputs, outputs or constants raise a one-line error."""

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

INPUT_HW = (64, 96)
VALID_OUTPUTS = {
    "boxes": np.zeros((1, 5, 4), np.float32), "scores": np.zeros((1, 5), np.float32),
    "labels": np.zeros((1, 5), np.int64), "counts": np.ones(1, np.int64)
}
INPUTS = {"images": (np.uint8, [-1, *INPUT_HW, 3]), "valid_hw": (np.int64, [-1, 2])}
# Invalid outputs and inputs, each with a part of the error message.
OUTPUTS = {
    "none": (dict(VALID_OUTPUTS), None),
    "renamed": (
        {
            "rects": VALID_OUTPUTS["boxes"],
            **{name: VALID_OUTPUTS[name] for name in list(VALID_OUTPUTS)[1:]},
        },
        "outputs: got rects, scores, labels, counts, expected boxes",
    ),
    "fewer": (
        {name: VALID_OUTPUTS[name] for name in list(VALID_OUTPUTS)[:3]},
        "outputs: got boxes, scores",
    ),
    "more": ({**VALID_OUTPUTS, "extra": VALID_OUTPUTS["counts"]}, "outputs: got .*extra"),
    "order": (
        {name: VALID_OUTPUTS[name] for name in reversed(VALID_OUTPUTS)},
        "outputs: got counts",
    ),
    "boxes-rank": ({**VALID_OUTPUTS, "boxes": np.zeros((1, 4), np.float32)}, "boxes: got float32"),
    "boxes-side": (
        {**VALID_OUTPUTS, "boxes": np.zeros((1, 5, 5), np.float32)},
        "boxes: got float32",
    ),
    "boxes-dtype": ({**VALID_OUTPUTS, "boxes": np.zeros((1, 5, 4), np.int64)}, "boxes: got int64"),
    "labels-dtype": (
        {**VALID_OUTPUTS, "labels": np.zeros((1, 5), np.float32)},
        "labels: got float32",
    ),
    "capacities-differ": (
        {**VALID_OUTPUTS, "scores": np.zeros((1, 6), np.float32)},
        "scores: got float32",
    ),
    "other-batch": ({**VALID_OUTPUTS, "counts": np.ones(3, np.int64)}, "counts: got int64"),
    "counts-high": (
        {**VALID_OUTPUTS, "counts": np.full(1, 6, np.int64)},
        "counts: got 6 to 6, expected 0",
    ),
    "counts-low": ({**VALID_OUTPUTS, "counts": np.full(1, -1, np.int64)}, "counts: got -1 to -1"),
}
INVALID_INPUTS = {
    "input-size": ({**INPUTS, "images": (np.uint8, [-1, 32, 32, 3])}, "images: got uint8"),
    "channels-first": ({**INPUTS, "images": (np.uint8, [-1, 3, *INPUT_HW])}, "images: got uint8"),
    "rank": ({**INPUTS, "images": (np.uint8, [*INPUT_HW, 3])}, "images: got uint8"),
    "dtype": ({**INPUTS, "images": (np.float32, [-1, *INPUT_HW, 3])}, "images: got float32"),
    "missing": ({"images": INPUTS["images"]}, "inputs: got images, expected images, valid_hw"),
}


def write_openvino(path, inputs, outputs):
    openvino, ops = import_openvino(), import_openvino_module("opset14")
    parameters = [ops.parameter(shape, dtype, name) for name, (dtype, shape) in inputs.items()]
    results = [ops.result(ops.constant(value)) for value in outputs.values()]
    model = openvino.Model(results, parameters, "test")
    for port, name in zip([*model.inputs, *model.outputs], [*inputs, *outputs]):
        port.get_tensor().set_names({name})
    openvino.save_model(model, str(path), compress_to_fp16=False)


def write_onnx(path, inputs, outputs):
    onnx = pytest.importorskip("onnx")
    tensor_type = onnx.helper.np_dtype_to_tensor_dtype
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", [f"{name}_held"], [name]) for name in outputs], "test",
        [onnx.helper.make_tensor_value_info(
            name, tensor_type(np.dtype(dtype)), ["b" if side < 0 else side for side in shape])
         for name, (dtype, shape) in inputs.items()],
        [onnx.helper.make_tensor_value_info(name, tensor_type(value.dtype), value.shape)
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
    engine = read_graph(form, folder / name, INPUT_HW, "f32", device="cpu")
    try_engine(engine, folder / name, 5)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("case", OUTPUTS)
def test_invalid_outputs_raise_one_line_error(form, case, tmp_path):
    outputs, message = OUTPUTS[case]
    if message is None:
        read_and_try(form, tmp_path, INPUTS, outputs)
        return
    if form == "torch" and case in ("renamed", "boxes-dtype"):
        return  # Its outputs have no names, and are converted to float.
    if form == "torch" and case in ("fewer", "more", "order"):
        message = "inference failed|: got"
    with pytest.raises(ExportError, match=message) as error_info:
        read_and_try(form, tmp_path, INPUTS, outputs)
    assert "graph." in str(error_info.value) and "\n" not in str(error_info.value)


@pytest.mark.parametrize("form", ["openvino", "onnx"])
@pytest.mark.parametrize("case", INVALID_INPUTS)
def test_invalid_inputs_raise_one_line_error(form, case, tmp_path):
    inputs, message = INVALID_INPUTS[case]
    with pytest.raises(ExportError, match=message) as error_info:
        read_and_try(form, tmp_path, inputs, VALID_OUTPUTS)
    assert "graph." in str(error_info.value) and "\n" not in str(error_info.value)


class FakeEngine:
    """Returns a fixed output, or raises it."""

    name, precision, input_hw, num_streams = "fake", "f32", INPUT_HW, 1

    def __init__(self, output):
        self.output = output

    def __call__(self, images, image_hw):
        if isinstance(self.output, Exception):
            raise self.output
        return self.output

    def close(self):
        """Nothing to release."""


def test_engine_error_is_one_line_and_out_of_memory_is_passed_on():
    images, valid = np.zeros((1, *INPUT_HW, 3), np.uint8), np.ones((1, 2), np.int64)
    with pytest.raises(ExportError, match="the engine fake: inference failed: got IndexError: a b"):
        run_and_check(FakeEngine(IndexError("a\nb")), images, valid)
    with pytest.raises(RuntimeError, match="alloc"):
        run_and_check(FakeEngine(RuntimeError("std::bad_alloc")), images, valid)
    valid_output = RawDetections(**VALID_OUTPUTS)
    assert run_and_check(FakeEngine(valid_output), images, valid) is valid_output


def write_openvino_xml(path, constant="", layer="", head=""):
    """Write a model that returns a constant, with a weights file of 16 bytes."""
    path.with_suffix(".bin").write_bytes(bytes(16))
    constant = constant or 'element_type="f32" shape="4" offset="0" size="16"'
    path.write_text(f"""<?xml version="1.0"?>{head}<net name="m" version="11"><layers>
        {layer}<layer id="1" name="c" type="Const" version="opset1"><data {constant}/><output>
        <port id="0" precision="FP32"><dim>4</dim></port></output></layer>
        <layer id="2" name="r" type="Result" version="opset1"><input>
        <port id="0" precision="FP32"><dim>4</dim></port></input></layer></layers>
        <edges><edge from-layer="1" from-port="0" to-layer="2" to-port="0"/></edges></net>""")
    return path


@pytest.mark.parametrize(("corrupt", "message"), [
    # (2**62 + 1) * 4 bytes overflow to 4 in 64 bits, which killed OpenVINO's process.
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
], ids=["overflow", "beyond", "before", "negative", "text", "no-offset", "extension", "deep",
        "doctype", "no-xml", "no-inputs"])
def test_malicious_openvino_file_raises_one_line_error(corrupt, message, tmp_path):
    with pytest.raises(ExportError, match=message) as error_info:
        path = write_openvino_xml(tmp_path / "graph.xml", **corrupt)
        read_graph("openvino", path, INPUT_HW, "f32", device="cpu")
    assert "graph.xml" in str(error_info.value) and "\n" not in str(error_info.value)
