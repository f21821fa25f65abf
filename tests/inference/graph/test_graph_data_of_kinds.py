"""Graphs of every kind of detector go through the torch format's file bit by bit."""

from pathlib import Path

import pytest
import torch
from test_parity import KINDS
from thumbnails import build

from detkit.inference.engines.graph_data import read_graph_data, write_graph_data
from detkit.inference.engines.input_batch import example
from detkit.inference.engines.program import exported_program
from detkit.inference.graph.build import static_graph

CANVAS = (96, 128)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    graph = static_graph(build(KINDS[kind]), CANVAS)
    program = exported_program(graph, CANVAS)
    write_graph_data(program, tmp_path / "graph.safetensors")
    again = read_graph_data(tmp_path / "graph.safetensors")
    inputs = [torch.from_numpy(one) for one in example(CANVAS, 3)]
    with torch.inference_mode():
        expected, found = program.module()(*inputs), again(*inputs)
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
