"""Graphs of every detector round-trip through the torch format bit for bit."""

from pathlib import Path

import pytest
import torch
from test_parity import DETECTORS
from thumbnails import build

from detkit.inference.engines.graph_data import read_graph_data, write_graph_data
from detkit.inference.engines.input_batch import dummy_batch
from detkit.inference.engines.program import export_program
from detkit.inference.graph.build import build_static_graph

INPUT_HW = (96, 128)


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTORS)
def test_graph_round_trips_through_file(name: str, tmp_path: Path) -> None:
    graph = build_static_graph(build(DETECTORS[name]), INPUT_HW)
    program = export_program(graph, INPUT_HW)
    write_graph_data(program, tmp_path / "graph.safetensors")
    restored = read_graph_data(tmp_path / "graph.safetensors")
    inputs = [torch.from_numpy(item) for item in dummy_batch(INPUT_HW, 3)]
    with torch.inference_mode():
        expected, actual = program.module()(*inputs), restored(*inputs)
    assert all(torch.equal(*pair) for pair in zip(actual, expected, strict=True))
