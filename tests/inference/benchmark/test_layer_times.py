"""Layer times: component names, and shares of a graph with known times."""

import time

import pytest
import torch
from torch import nn

from detkit.inference.benchmark.layer_times import get_component, torch_layer_times


@pytest.mark.parametrize("module, component", [
    ("", "other"),
    ("feature_extractor.preprocessor", "normalise"),
    ("feature_extractor.backbone.stages.0.blocks.1", "backbone"),
    ("feature_extractor.neck.fpn_convs.0.conv", "neck"),
    ("rpn.head.rpn_conv", "RPN"),
    ("rpn.nms", "NMS"),
    ("rpn", "RPN"),
    ("roi_head.stages.2.head", "RoI heads"),
    ("roi_head.nms", "NMS"),
    ("feature_extractor.backbone_extra", "other"),
    ("bbox_head.nms", "NMS"),
    ("bbox_head.head.retina_cls", "head"),
], ids=lambda value: str(value) or "nothing")
def test_module_name_maps_to_component(module, component):
    assert get_component(module) == component


class SleepingModule(nn.Module):
    """Takes a fixed number of milliseconds."""

    def __init__(self, milliseconds, inner=None):
        super().__init__()
        self.milliseconds = milliseconds
        self.nms = inner
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images, image_hw):
        time.sleep(self.milliseconds / 1000)
        return self.nms(images, image_hw) if self.nms is not None else images


class Graph(nn.Module):
    def __init__(self):
        super().__init__()
        self.feature_extractor = nn.ModuleDict({"backbone": SleepingModule(20)})
        self.rpn = SleepingModule(5, inner=SleepingModule(15))

    def forward(self, images, image_hw):
        self.feature_extractor["backbone"](images, image_hw)
        return self.rpn(images, image_hw)


def test_nested_components_are_counted_once():
    import numpy as np

    batch = (np.zeros((1, 4, 4, 3), np.uint8), np.array([[4, 4]]))
    shares = torch_layer_times(Graph(), batch)
    assert sum(shares.values()) == pytest.approx(1)
    # 20, 5 and 15 of 40 ms; a sleep is never shorter, and longer on a busy machine.
    assert shares["backbone"] == pytest.approx(0.5, abs=0.15)
    assert shares["NMS"] == pytest.approx(0.375, abs=0.15)
    assert shares["RPN"] == pytest.approx(0.125, abs=0.1)
