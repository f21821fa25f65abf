"""The torch format's file is data: it gives the graph that was written, and runs nothing else."""

import json
import struct
from pathlib import Path

import hostile_programs
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from detkit.errors import ExportError
from detkit.inference.engines import graph_data
from detkit.inference.engines.graph_data import KEY, read_graph_data, write_graph_data
from detkit.inference.engines.graph_operators import ATEN, resolve_operator
from detkit.inference.engines.input_batch import dummy_batch
from detkit.inference.engines.ports import try_engine
from detkit.inference.engines.program import export_program
from detkit.inference.export.graph_file import graph_file_name, read_graph

CANVAS = (64, 96)


@pytest.fixture(scope="module", params=["cascade", "deformable"])
def written(request, graphs, tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / graph_file_name("torch", CANVAS)
    write_graph_data(export_program(graphs[request.param], CANVAS), path)
    return path, graphs[request.param]


def test_a_graph_comes_back_as_it_was_for_any_batch(written):
    path, graph = written
    restored = read_graph_data(path)
    for batch in (1, 3):
        inputs = [torch.from_numpy(item) for item in dummy_batch(CANVAS, batch)]
        with torch.inference_mode():
            for result, expected in zip(restored(*inputs), graph(*inputs), strict=True):
                assert torch.equal(result, expected)


def test_the_file_holds_no_path_of_the_machine_that_wrote_it(written):
    assert str(Path(__file__).parents[3]).encode() not in written[0].read_bytes()


@pytest.mark.parametrize("attack", ["opaque_constant", "size_expression", "shared_library"])
def test_code_in_a_torch_export_archive_is_not_run(attack, tmp_path):
    touched = tmp_path / "touched"
    path = hostile_programs.save_program(tmp_path / "program.pt2")
    if getattr(hostile_programs, attack)(path, touched) is None:
        pytest.skip("no compiler to make a library with")
    path = path.rename(tmp_path / graph_file_name("torch", CANVAS))
    with pytest.raises(ExportError, match=f"{path.name}.*export the checkpoint again") as caught:
        read_graph("torch", path, CANVAS, "f32", device="cpu")
    assert "\n" not in str(caught.value)
    assert not touched.exists()
    # What torch's own reader does with it.
    path = path.rename(tmp_path / "program.pt2")
    try:
        torch.export.load(str(path))
    except Exception:
        pass
    assert touched.exists()


def write(path, steps, outputs=({"value": 0},), tensors=None, **content):
    text = json.dumps({"version": 1, "steps": steps, "outputs": list(outputs), **content})
    save_file(tensors or {"weight": torch.ones(2)}, str(path), {KEY: text})
    return path


def step(op, *args, **kwargs):
    return {"op": op, "args": list(args), "kwargs": kwargs}


@pytest.mark.parametrize("name", [
    "aten.from_file.default", "aten.save.default", "aten.set_.source_Storage", "aten.add.__init__",
    "aten.add.nothing", "aten.add", "aten.add.str",
    "aten.as_strided.default", "aten._unsafe_index.Tensor",
    "torch.hub.load", "torch.ops.load_library", "torchvision._cuda_version.default",
    "builtins.eval", "operator.attrgetter", "operator.methodcaller", "operator.pow", "os.system",
    "prim.PythonOp", "#eval", "", "."])
def test_an_operator_that_is_not_named_is_refused(name, tmp_path):
    path = write(tmp_path / "graph.safetensors", [step(name, "x")])
    with pytest.raises(ExportError, match="graph.safetensors"):
        read_graph_data(path)


def test_the_operators_that_are_named_are_torch_s_and_take_no_path():
    texts = set()
    for name in sorted(ATEN):
        packet = getattr(torch.ops.aten, name, None)
        assert packet is not None, name
        for overload in packet.overloads():
            try:
                result = resolve_operator(f"aten.{name}.{overload}")
            except LookupError:
                continue
            texts |= {item.name for item in result._schema.arguments if "str" in str(item.type)}
    # Each chooses among a few ways to compute; none names a file.
    assert texts == {"approximate", "equation", "indexing", "mode", "padding", "reduce",
                     "rounding_mode", "side"}


@pytest.mark.parametrize("argument", [
    {"value": 2}, {"value": -1}, {"value": True}, {"value": "0"}, {"tensor": "absent"},
    {"tensor": ["weight"]}, {"dtype": "load"}, {"dtype": "nn"}, {"dtype": None},
    {"memory_format": "float32"}, {"code": "1"}, {}, {"value": 0, "tensor": "weight"}, 2**63,
    [[[[[[[[[[0]]]]]]]]]],
], ids=str)
def test_an_argument_that_is_none_is_refused(argument, tmp_path):
    path = write(tmp_path / "graph.safetensors", [step("aten.relu.default", argument)])
    with pytest.raises(ExportError, match="no graph that detkit wrote"):
        read_graph_data(path)


@pytest.mark.parametrize("spoil", [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(b"PK\x03\x04" * 100),
    lambda path: path.write_bytes(struct.pack("<Q", 2**40) + b"{}"),
    lambda path: path.write_bytes(struct.pack("<Q", 2**63) + b"{}"),
    lambda path: path.write_bytes(path.read_bytes()[:-1]),
    lambda path: save_file({"a": torch.ones(1)}, str(path)),
    lambda path: save_file({"a": torch.ones(1)}, str(path), {KEY: "[" * 100_000}),
    lambda path: save_file({"a": torch.ones(1)}, str(path), {KEY: "[]"}),
    lambda path: write(path, [], version=2),
    lambda path: write(path, [], outputs=[1]),
    lambda path: write(path, [], outputs=[{"tensor": "weight"}]),
    lambda path: write(path, None),
    lambda path: write(path, [None]),
    lambda path: write(path, [{"op": "aten.relu.default"}]),
    lambda path: write(path, [{"op": 1, "args": [], "kwargs": {}}]),
    lambda path: write(path, [{"op": "aten.relu.default", "args": 1, "kwargs": {}}]),
], ids=["empty", "zip", "long-text", "longer-text", "cut", "no-graph", "deep", "list", "version",
        "output", "weight-out", "no-steps", "no-step", "no-args", "number", "args"])
def test_a_file_that_is_none_is_refused_in_one_line(spoil, tmp_path):
    path = write(tmp_path / "graph.safetensors", [])
    spoil(path)
    with pytest.raises(ExportError, match="graph.safetensors: no graph") as caught:
        read_graph_data(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_number_that_grows_without_end_is_stopped(tmp_path):
    steps = [step("operator.mul", 2**40, 2**20)]
    steps += [step("operator.mul", {"value": 1 + n}, {"value": 1 + n}) for n in range(1, 40)]
    module = read_graph_data(write(tmp_path / "graph.safetensors", steps, [{"value": 2}]))
    with pytest.raises(ValueError, match="64 bits"):
        module(*(torch.from_numpy(item) for item in dummy_batch(CANVAS, 1)))


def test_roi_with_invalid_image_index_is_clamped():
    features = torch.arange(16.0).reshape(1, 1, 4, 4)
    align = resolve_operator("torchvision.roi_align.default")
    valid_roi, invalid_roi = (torch.tensor([[image, 0.0, 0, 4, 4]]) for image in (0, 10**9))
    expected = align(features, valid_roi, 1.0, 2, 2, 2, True)
    torch.testing.assert_close(align(features, invalid_roi, 1.0, 2, 2, 2, True), expected)
    torch.testing.assert_close(
        expected, torch.ops.torchvision.roi_align(features, valid_roi, 1.0, 2, 2, 2, True))


def test_unsupported_operator_is_rejected_on_write(tmp_path):
    class UnsupportedOp(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, images, image_hw):
            return torch.special.bessel_j0(images * self.weight), image_hw

    path = tmp_path / "graph.safetensors"
    with pytest.raises(ExportError, match="bessel_j0.*--format openvino or onnx"):
        write_graph_data(export_program(UnsupportedOp().eval(), CANVAS), path)
    assert not path.exists()


def test_weights_that_share_memory_are_written_each(tmp_path):
    class SharedMemory(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
            self.register_buffer("turned", self.weight.detach().T)

        def forward(self, images, image_hw):
            return images.float() @ self.turned @ self.weight, image_hw

    path, graph = tmp_path / "graph.safetensors", SharedMemory().eval()
    write_graph_data(export_program(graph, CANVAS), path)
    inputs = [torch.from_numpy(item) for item in dummy_batch(CANVAS, 1)]
    np.testing.assert_array_equal(read_graph_data(path)(*inputs)[0].detach(),
                                  graph(*inputs)[0].detach())
    with safe_open(str(path), "pt") as file:
        assert sorted(file.keys()) == ["turned", "weight"]


def make_steps(*calls):
    return [{"op": op, "args": list(args), "kwargs": {}} for op, *args in calls]


# Each takes 4 TB, or walks through as much.
@pytest.mark.parametrize("steps", [
    make_steps(("aten.zeros.default", [1_000_000, 1_000_000])),
    make_steps(("aten.arange.default", 1_000_000_000_000)),
    make_steps(("aten.repeat.default", {"tensor": "weight"}, [1_000_000, 500_000])),
    make_steps(("aten.expand.default", {"tensor": "weight"}, [500_000_000_000, 2]),
               ("aten.sum.default", {"value": 2})),
    make_steps(*[("aten.zeros.default", [1 << 18])] * 200,
               ("aten.stack.default", [{"value": 2 + item} for item in range(200)])),
], ids=["zeros", "arange", "repeat", "view", "many"])
@pytest.mark.parametrize("engine", ["torch", "torch.compile"])
def test_steps_exceeding_memory_are_rejected(
    steps, engine, tmp_path, monkeypatch
):
    monkeypatch.setattr(graph_data, "available_memory", lambda: 3 << 20)
    path = write(tmp_path / graph_file_name("torch", CANVAS), steps,
                 [{"value": 1 + len(steps)}] * 4)
    with pytest.raises(ExportError, match="tensors of [0-9,]+ bytes, expected at most 3,145,728"):
        try_engine(read_graph("torch", path, CANVAS, "f32", engine, device="cpu"), path)
