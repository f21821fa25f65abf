"""Graphs of every kind of detector go through the torch format's file bit by bit."""

from pathlib import Path

import pytest
import torch
from test_parity import KINDS
from thumbnails import build

from detkit.inference.engines.graph_data import read_graph_data, write_graph_data
from detkit.inference.engines.input_batch import dummy_batch
from detkit.inference.engines.program import export_program
from detkit.inference.graph.build import build_static_graph

CANVAS = (96, 128)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    graph = build_static_graph(build(KINDS[kind]), CANVAS)
    program = export_program(graph, CANVAS)
    write_graph_data(program, tmp_path / "graph.safetensors")
    restored = read_graph_data(tmp_path / "graph.safetensors")
    inputs = [torch.from_numpy(item) for item in dummy_batch(CANVAS, 3)]
    with torch.inference_mode():
        expected, actual = program.module()(*inputs), restored(*inputs)
    assert all(torch.equal(*pair) for pair in zip(actual, expected, strict=True))
