"""``engine='auto'`` takes what is fast and right, and says what it left out."""

import logging

import numpy as np
import pytest

from detkit.inference.engines import engine_choice
from detkit.inference.engines.engine import RawDetections
from detkit.inference.engines.engine_choice import choose_engine
from detkit.inference.engines.parity import TOLERANCES, agree

CANVAS = (64, 96)


def raw(boxes, scores, labels):
    count = len(scores)
    return RawDetections(np.array([boxes], np.float32).reshape(1, count, 4),
                         np.array([scores], np.float32), np.array([labels]),
                         np.array([count]))


BOX = [10.0, 10, 20, 20]


@pytest.mark.parametrize(("first", "second", "same"), [
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
def test_agreement(first, second, same):
    assert agree(raw(*first), raw(*second), TOLERANCES["f32"]) is same


def test_one_of_the_machine_s_engines_is_taken_and_timed(graphs, pictures):
    chosen = choose_engine(graphs["deformable"], CANVAS, device="cpu", probe=pictures[0][0])
    assert chosen.engine.name in ("openvino", "torch")
    assert set(chosen.milliseconds) >= {"torch f32", "openvino f32"}
    best = min(chosen.milliseconds, key=chosen.milliseconds.get)
    assert best == f"{chosen.engine.name} {chosen.engine.precision}"
    assert chosen.engine(pictures[0][:1], pictures[1][:1]).boxes.shape[0] == 1


def test_an_engine_that_finds_something_else_is_not_taken(graphs, pictures, monkeypatch, caplog):
    build = engine_choice.build_engine

    class Wrong:
        """A real engine whose boxes are sure, and off by more than any precision explains."""

        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def __call__(self, *batch):
            found = self.inner(*batch)
            beyond = 2 * max(tolerance.pixels for tolerance in TOLERANCES.values())
            return RawDetections(found.boxes + beyond, np.full_like(found.scores, 0.9),
                                 found.labels, found.counts)

    def build_wrong(name, *args, **kwargs):
        engine = build(name, *args, **kwargs)
        return Wrong(engine) if name == "openvino" else engine

    monkeypatch.setattr(engine_choice, "build_engine", build_wrong)
    with caplog.at_level(logging.WARNING):
        chosen = choose_engine(graphs["deformable"], CANVAS, device="cpu", probe=pictures[0][0])
    assert chosen.engine.name == "torch"
    assert "openvino f32 is not taken" in caplog.text
