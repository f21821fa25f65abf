"""A file that asks for a layer output larger than the memory raises an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detkit.errors import ExportError
from detkit.inference.engines.input_batch import INPUT_NAMES
from detkit.inference.engines.openvino.engine import OpenVinoEngine

INPUT_HW = (64, 96)
ov = pytest.importorskip("openvino")


def save_model(path: Path, rows: int) -> Path:
    """Write a model whose outputs depend on a tensor of ``rows`` x 1000 values."""
    op = ov.opset13
    images = op.parameter([-1, *INPUT_HW, 3], np.uint8)
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
    for item, name in (
        (boxes, "boxes"),
        (scores, "scores"),
        (labels, "labels"),
        (counts, "counts"),
    ):
        item.output(0).get_tensor().set_names({name})
        results.append(op.result(item))
    ov.save_model(ov.Model(results, [images, image_hw]), str(path), compress_to_fp16=False)
    return path


def test_layer_output_exceeding_memory_raises_export_error(tmp_path: Path) -> None:
    OpenVinoEngine(save_model(tmp_path / "few.xml", 10), INPUT_HW).close()
    path = save_model(tmp_path / "many.xml", 1_000_000_000)
    with pytest.raises(ExportError, match="than is available: got 4,000,000,000,000 bytes"):
        OpenVinoEngine(path, INPUT_HW)
