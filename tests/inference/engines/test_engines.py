"""Every engine's detections equal torch's on the same graph and images."""

import sys
import threading

import numpy as np
import pytest
import torch

from detkit.errors import ExportError, MissingExtraError
from detkit.inference.engines.availability import available_engines
from detkit.inference.engines.build import build_engine

INPUT_HW = (64, 96)
slow = pytest.mark.slow
ENGINES = [
    pytest.param("torch", "cascade", id="torch"),
    pytest.param("openvino", "cascade", id="openvino"),
    pytest.param("openvino", "deformable", id="openvino, deformable"),
    pytest.param("onnxruntime", "deformable", id="onnxruntime, deformable"),
    pytest.param("onnxruntime", "cascade", id="onnxruntime", marks=slow),
    pytest.param("torch.compile", "cascade", id="torch.compile", marks=slow),
]


def eager(graph, images, image_hw):
    with torch.inference_mode():
        result = graph(torch.from_numpy(images), torch.from_numpy(image_hw))
    return [item.numpy() for item in result]


@pytest.mark.parametrize(("name", "graph"), ENGINES)
def test_engine_matches_eager_torch(name, graph, graphs, image_batch):
    states = {state.name: state for state in available_engines("cpu")}
    if states[name].reason:
        pytest.skip(states[name].reason)
    expected = {count: eager(graphs[graph], *(item[:count] for item in image_batch))
                for count in (1, 3)}
    assert expected[3][3].min() > 0, "a test of nothing found shows nothing"
    engine = build_engine(name, graphs[graph], INPUT_HW, device="cpu")
    for count in (1, 3):
        result = engine(*(item[:count] for item in image_batch))
        boxes, scores, labels, counts = expected[count]
        np.testing.assert_array_equal(result.counts, counts)
        np.testing.assert_array_equal(result.labels, labels)
        np.testing.assert_allclose(result.scores, scores, atol=1e-4, rtol=0)
        np.testing.assert_allclose(result.boxes, boxes, atol=0.01, rtol=0)
        assert [item.dtype for item in (result.boxes, result.scores, result.labels, result.counts)
                ] == [np.float32, np.float32, np.int64, np.int64]
    assert (engine.name, engine.precision, engine.input_hw) == (name, "f32", INPUT_HW)
    empty = engine(image_batch[0][:0], image_batch[1][:0])
    max_results = expected[1][0].shape[1]
    assert empty.boxes.shape == (0, max_results, 4) and empty.counts.shape == (0,)
    engine.close()
    engine.close()


@pytest.fixture(scope="module")
def openvino(graphs):
    engine = build_engine("openvino", graphs["deformable"], INPUT_HW, num_streams=2, device="cpu")
    yield engine
    engine.close()


def test_calls_from_many_threads_do_not_mix(openvino, image_batch):
    expected_alone = [
        openvino(image_batch[0][item:item + 1], image_batch[1][item:item + 1]) for item in range(3)
    ]
    wrong = []

    def predict(index):
        for _ in range(5):
            result = openvino(image_batch[0][index:index + 1], image_batch[1][index:index + 1])
            if not np.array_equal(result.boxes, expected_alone[index].boxes):
                wrong.append(index)

    threads = [threading.Thread(target=predict, args=(index % 3,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_padding_pixels_have_no_effect(openvino, image_batch):
    images, image_hw = image_batch[0].copy(), image_batch[1]
    before = openvino(images, image_hw)
    for image, (height, width) in zip(images, image_hw):
        image[height:], image[:, width:] = 255, 255
    after = openvino(images, image_hw)
    np.testing.assert_array_equal(before.boxes, after.boxes)


@pytest.mark.parametrize(("images", "valid"), [
    (np.zeros((1, 64, 64, 3), np.uint8), np.ones((1, 2), np.int64)),
    (np.zeros((1, 64, 96, 3), np.float32), np.ones((1, 2), np.int64)),
    (np.zeros((64, 96, 3), np.uint8), np.ones((1, 2), np.int64)),
    (np.zeros((2, 64, 96, 3), np.uint8), np.ones((1, 2), np.int64)),
    (np.zeros((1, 64, 96, 3), np.uint8), np.ones((1, 2), np.int32)),
    (np.zeros((1, 64, 96, 3), np.uint8), np.array([[65, 96]])),
    (np.zeros((1, 64, 96, 3), np.uint8), np.array([[0, 96]])),
], ids=["input-size", "dtype", "no-batch", "numbers", "valid-dtype", "too-large", "empty"])
def test_invalid_batch_raises_value_error(openvino, images, valid):
    with pytest.raises(ValueError, match="got .* expected"):
        openvino(images, valid)


def test_unavailable_engines_have_reasons():
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
def test_missing_library_error_names_its_extra(name, library, extra, graphs, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    reason = {state.name: state.reason for state in available_engines("cpu")}[name]
    assert library in reason
    with pytest.raises(MissingExtraError if extra else ExportError, match=extra or library):
        build_engine(name, graphs["cascade"], INPUT_HW, device="cpu")


@pytest.mark.parametrize(("name", "precision", "message"), [
    ("openvino", "int8", "detkit export"),
    ("openvino", "f16", "f32"),
    ("onnxruntime", "bf16", "f32"),
    ("torch", "f16", "f32"),
    ("torch", "f64", "bf16"),
    ("fast", "f32", "torch.compile"),
    ("tensorrt", "f32", "tensorrt"),
])
def test_unsupported_engine_option_raises_one_line_error(name, precision, message, graphs):
    with pytest.raises(ExportError, match=message) as error_info:
        build_engine(name, graphs["cascade"], INPUT_HW, precision, device="cpu")
    assert "\n" not in str(error_info.value)


def test_torch_compile_without_compiler_is_unavailable(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    states = {state.name: state for state in available_engines("cpu")}
    assert states["torch.compile"].reason == "there is no C++ compiler"
