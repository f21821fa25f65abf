"""Where a graph's time goes: names, and sums that a graph of known costs decides."""

import time

import pytest
import torch
from torch import nn

from detkit.inference.benchmark.layer_times import part_of, torch_shares


@pytest.mark.parametrize("module, part", [
    ("", "other"),
    ("pyramid.pictures", "normalise"),
    ("pyramid.body.stages.0.blocks.1", "backbone"),
    ("pyramid.neck.fpn_convs.0.conv", "neck"),
    ("proposals.head.rpn_conv", "RPN"),
    ("proposals.select", "NMS"),
    ("proposals", "RPN"),
    ("stages.stages.2.head", "RoI heads"),
    ("stages.select", "NMS"),
    ("pyramid.bodyguard", "other"),
    ("boxes.select", "NMS"),
    ("boxes.head.retina_cls", "head"),
], ids=lambda value: str(value) or "nothing")
def test_a_module_belongs_to_the_part_that_detectors_call_so(module, part):
    assert part_of(module) == part


class Sleeps(nn.Module):
    """Takes so many milliseconds."""

    def __init__(self, milliseconds, within=None):
        super().__init__()
        self.milliseconds = milliseconds
        self.select = within
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images, valid_hw):
        time.sleep(self.milliseconds / 1000)
        return self.select(images, valid_hw) if self.select is not None else images


class Graph(nn.Module):
    def __init__(self):
        super().__init__()
        self.pyramid = nn.ModuleDict({"body": Sleeps(20)})
        self.proposals = Sleeps(5, within=Sleeps(15))

    def forward(self, images, valid_hw):
        self.pyramid["body"](images, valid_hw)
        return self.proposals(images, valid_hw)


def test_what_lies_within_a_part_is_counted_once():
    import numpy as np

    batch = (np.zeros((1, 4, 4, 3), np.uint8), np.array([[4, 4]]))
    shares = torch_shares(Graph(), batch)
    assert sum(shares.values()) == pytest.approx(1)
    # 20, 5 and 15 of 40 ms: sleeping is never shorter, and on a busy machine somewhat longer.
    assert shares["backbone"] == pytest.approx(0.5, abs=0.15)
    assert shares["NMS"] == pytest.approx(0.375, abs=0.15)
    assert shares["RPN"] == pytest.approx(0.125, abs=0.1)
