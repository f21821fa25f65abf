"""A layer of a few letters whose result no memory has room for is refused before it is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detkit.errors import ExportError
from detkit.inference.engines.input_batch import INPUT_NAMES
from detkit.inference.engines.openvino.engine import OpenVinoEngine

CANVAS = (64, 96)
ov = pytest.importorskip("openvino")


def _save(path: Path, rows: int) -> Path:
    """A model whose results come of a number that is repeated in ``rows`` rows of 1000."""
    op = ov.opset13
    images = op.parameter([-1, *CANVAS, 3], np.uint8)
    image_hw = op.parameter([-1, 2], np.int64)
    for item, name in zip((images, image_hw), INPUT_NAMES):
        item.output(0).get_tensor().set_names({name})

    def int_constant(*numbers: int) -> object:
        return op.constant(np.array(numbers, np.int64))

    total = op.reduce_sum(op.tile(op.convert(image_hw, "f32"), int_constant(rows, 500)),
                          int_constant(0, 1))
    batch = op.gather(op.shape_of(image_hw), int_constant(0), op.constant(0))
    boxes = op.broadcast(total, op.concat([batch, int_constant(5, 4)], 0))
    scores = op.broadcast(total, op.concat([batch, int_constant(5)], 0))
    labels = op.convert(scores, "i64")
    counts = op.convert(op.broadcast(total, batch), "i64")
    results = []
    for item, name in ((boxes, "boxes"), (scores, "scores"), (labels, "labels"), (counts,
                                                                                  "counts")):
        item.output(0).get_tensor().set_names({name})
        results.append(op.result(item))
    ov.save_model(ov.Model(results, [images, image_hw]), str(path), compress_to_fp16=False)
    return path


def test_a_result_larger_than_the_memory_is_not_made(tmp_path: Path) -> None:
    OpenVinoEngine(_save(tmp_path / "few.xml", 10), CANVAS).close()
    path = _save(tmp_path / "many.xml", 1_000_000_000)
    with pytest.raises(ExportError, match="more memory than there is: got 4,000,000,000,000 bytes"):
        OpenVinoEngine(path, CANVAS)
