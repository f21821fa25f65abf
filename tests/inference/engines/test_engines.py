"""Every engine gives what torch gives on the same graph, weights and pictures."""

import sys
import threading

import numpy as np
import pytest
import torch

from detkit.errors import ExportError, MissingExtraError
from detkit.inference.engines.availability import available_engines
from detkit.inference.engines.build import build_engine

CANVAS = (64, 96)
slow = pytest.mark.slow
ENGINES = [
    pytest.param("torch", "cascade", id="torch"),
    pytest.param("openvino", "cascade", id="openvino"),
    pytest.param("openvino", "deformable", id="openvino, deformable"),
    pytest.param("onnxruntime", "deformable", id="onnxruntime, deformable"),
    pytest.param("onnxruntime", "cascade", id="onnxruntime", marks=slow),
    pytest.param("torch.compile", "cascade", id="torch.compile", marks=slow),
]


def eager(graph, images, valid_hw):
    with torch.inference_mode():
        found = graph(torch.from_numpy(images), torch.from_numpy(valid_hw))
    return [one.numpy() for one in found]


@pytest.mark.parametrize(("name", "graph"), ENGINES)
def test_an_engine_finds_what_eager_torch_finds(name, graph, graphs, pictures):
    states = {state.name: state for state in available_engines("cpu")}
    if states[name].reason:
        pytest.skip(states[name].reason)
    expected = {count: eager(graphs[graph], *(one[:count] for one in pictures))
                for count in (1, 3)}
    assert expected[3][3].min() > 0, "a test of nothing found shows nothing"
    engine = build_engine(name, graphs[graph], CANVAS, device="cpu")
    for count in (1, 3):
        found = engine(*(one[:count] for one in pictures))
        boxes, scores, labels, counts = expected[count]
        np.testing.assert_array_equal(found.counts, counts)
        np.testing.assert_array_equal(found.labels, labels)
        np.testing.assert_allclose(found.scores, scores, atol=1e-4, rtol=0)
        np.testing.assert_allclose(found.boxes, boxes, atol=0.01, rtol=0)
        assert [one.dtype for one in (found.boxes, found.scores, found.labels, found.counts)] == [
            np.float32, np.float32, np.int64, np.int64]
    assert (engine.name, engine.precision, engine.canvas_hw) == (name, "f32", CANVAS)
    none = engine(pictures[0][:0], pictures[1][:0])
    most = expected[1][0].shape[1]
    assert none.boxes.shape == (0, most, 4) and none.counts.shape == (0,)
    engine.close()
    engine.close()


@pytest.fixture(scope="module")
def openvino(graphs):
    engine = build_engine("openvino", graphs["deformable"], CANVAS, streams=2, device="cpu")
    yield engine
    engine.close()


def test_calls_from_many_threads_do_not_mix(openvino, pictures):
    alone = [openvino(pictures[0][one:one + 1], pictures[1][one:one + 1]) for one in range(3)]
    wrong = []

    def look(number):
        for _ in range(5):
            found = openvino(pictures[0][number:number + 1], pictures[1][number:number + 1])
            if not np.array_equal(found.boxes, alone[number].boxes):
                wrong.append(number)

    threads = [threading.Thread(target=look, args=(number % 3,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_lies_beyond_the_picture_has_no_effect(openvino, pictures):
    images, valid_hw = pictures[0].copy(), pictures[1]
    before = openvino(images, valid_hw)
    for image, (height, width) in zip(images, valid_hw):
        image[height:], image[:, width:] = 255, 255
    after = openvino(images, valid_hw)
    np.testing.assert_array_equal(before.boxes, after.boxes)


@pytest.mark.parametrize(("images", "valid"), [
    (np.zeros((1, 64, 64, 3), np.uint8), np.ones((1, 2), np.int64)),
    (np.zeros((1, 64, 96, 3), np.float32), np.ones((1, 2), np.int64)),
    (np.zeros((64, 96, 3), np.uint8), np.ones((1, 2), np.int64)),
    (np.zeros((2, 64, 96, 3), np.uint8), np.ones((1, 2), np.int64)),
    (np.zeros((1, 64, 96, 3), np.uint8), np.ones((1, 2), np.int32)),
    (np.zeros((1, 64, 96, 3), np.uint8), np.array([[65, 96]])),
    (np.zeros((1, 64, 96, 3), np.uint8), np.array([[0, 96]])),
], ids=["canvas", "dtype", "no-batch", "numbers", "valid-dtype", "too-large", "empty"])
def test_a_batch_that_does_not_fit_is_refused(openvino, images, valid):
    with pytest.raises(ValueError, match="got .* expected"):
        openvino(images, valid)


def test_engines_that_do_not_run_say_why():
    states = available_engines("cpu")
    assert [state.name for state in states] == [
        "torch", "torch.compile", "openvino", "onnxruntime", "tensorrt"]
    for state in states:
        assert bool(state.precisions) == (state.reason is None)
    assert "f32" in states[0].precisions
    assert states[-1].reason


@pytest.mark.parametrize(("name", "library", "extra"), [
    ("openvino", "openvino", "openvino"), ("onnxruntime", "onnxruntime", "onnx"),
    ("onnxruntime", "onnxscript", None),
])
def test_a_missing_library_is_named_with_its_extra(name, library, extra, graphs, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    reason = {state.name: state.reason for state in available_engines("cpu")}[name]
    assert library in reason
    with pytest.raises(MissingExtraError if extra else ExportError, match=extra or library):
        build_engine(name, graphs["cascade"], CANVAS, device="cpu")


@pytest.mark.parametrize(("name", "precision", "message"), [
    ("openvino", "int8", "detkit export"),
    ("openvino", "f16", "f32"),
    ("onnxruntime", "bf16", "f32"),
    ("torch", "f16", "f32"),
    ("torch", "f64", "bf16"),
    ("fast", "f32", "torch.compile"),
    ("tensorrt", "f32", "tensorrt"),
])
def test_what_an_engine_cannot_do_is_one_line(name, precision, message, graphs):
    with pytest.raises(ExportError, match=message) as caught:
        build_engine(name, graphs["cascade"], CANVAS, precision, device="cpu")
    assert "\n" not in str(caught.value)


def test_without_a_compiler_torch_compile_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    states = {state.name: state for state in available_engines("cpu")}
    assert states["torch.compile"].reason == "there is no C++ compiler"
