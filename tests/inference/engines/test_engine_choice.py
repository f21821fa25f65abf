"""``engine='auto'`` chooses the fastest engine whose detections match, and logs skipped ones."""

import logging

import numpy as np
import pytest

from detkit.inference.engines import engine_choice
from detkit.inference.engines.engine import RawDetections
from detkit.inference.engines.engine_choice import choose_engine
from detkit.inference.engines.parity import TOLERANCES, outputs_match

INPUT_HW = (64, 96)


def make_raw_detections(boxes, scores, labels):
    count = len(scores)
    return RawDetections(np.array([boxes], np.float32).reshape(1, count, 4),
                         np.array([scores], np.float32), np.array([labels]),
                         np.array([count]))


BOX = [10.0, 10, 20, 20]


@pytest.mark.parametrize(("first", "second", "matches"), [
    (([], [], []), ([], [], []), True),
    (([BOX], [0.9], [1]), ([], [], []), False),
    (([], [], []), ([BOX], [0.9], [1]), False),
    (([BOX], [0.9], [1]), ([BOX], [0.9], [1]), True),
    (([BOX], [0.9], [1]), ([BOX], [0.9], [2]), False),
    (([BOX], [0.9], [1]), ([BOX], [0.8], [1]), False),
    (([BOX], [0.9], [1]), ([[10.0, 10, 20, 21]], [0.9], [1]), False),
    (([BOX], [0.9], [1]), ([[float("nan")] * 4], [0.9], [1]), False),
    (([BOX, BOX], [0.9, 0.05], [1, 1]), ([BOX], [0.9], [1]), True),
], ids=["nothing", "lost", "invented", "equal", "label", "score", "box", "nan", "unclear"])
def test_agreement(first, second, matches):
    assert outputs_match(make_raw_detections(*first), make_raw_detections(*second),
                         TOLERANCES["f32"]) is matches


def test_fastest_engine_is_chosen_and_timed(graphs, image_batch):
    choice = choose_engine(graphs["deformable"], INPUT_HW, device="cpu",
                           sample_image=image_batch[0][0])
    assert choice.engine.name in ("openvino", "torch")
    assert set(choice.milliseconds) >= {"torch f32", "openvino f32"}
    best = min(choice.milliseconds, key=choice.milliseconds.get)
    assert best == f"{choice.engine.name} {choice.engine.precision}"
    assert choice.engine(image_batch[0][:1], image_batch[1][:1]).boxes.shape[0] == 1


def test_engine_with_different_outputs_is_rejected(graphs, image_batch, monkeypatch, caplog):
    build = engine_choice.build_engine

    class WrongEngine:
        """A real engine whose boxes are sure, and off by more than any precision explains."""

        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def __call__(self, *batch):
            output = self.inner(*batch)
            beyond = 2 * max(tolerance.pixels for tolerance in TOLERANCES.values())
            return RawDetections(output.boxes + beyond, np.full_like(output.scores, 0.9),
                                 output.labels, output.counts)

    def build_wrong_engine(name, *args, **kwargs):
        engine = build(name, *args, **kwargs)
        return WrongEngine(engine) if name == "openvino" else engine

    monkeypatch.setattr(engine_choice, "build_engine", build_wrong_engine)
    with caplog.at_level(logging.WARNING):
        choice = choose_engine(graphs["deformable"], INPUT_HW, device="cpu",
                               sample_image=image_batch[0][0])
    assert choice.engine.name == "torch"
    assert "openvino f32 is skipped" in caplog.text
