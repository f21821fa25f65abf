"""RoIAlign over all levels at once against mmdet's extractor, which groups RoIs by level."""

from typing import Any

import pytest
import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import Tensor

from detkit.inference.graph.roi_extractor import RoIExtractorGraph

INPUT_HW = (96, 160)
STRIDES = [4, 8, 16, 32]


def build_extractor(**layer: Any) -> Any:
    return SingleRoIExtractor(dict(dict(type="RoIAlign", output_size=5), **layer), 6, STRIDES,
                              finest_scale=12)


def random_maps(input_hw: tuple[int, int] = INPUT_HW) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 6, -(-input_hw[0] // stride), -(-input_hw[1] // stride))
            for stride in STRIDES]


def random_rois(input_hw: tuple[int, int] = INPUT_HW) -> Tensor:
    """(2, 84, 4) boxes of all sizes, some on the edges of the input or without area."""
    torch.manual_seed(1)
    limits = torch.tensor([input_hw[1], input_hw[0]]).float()
    corner = torch.rand(2, 80, 2) * limits
    size = torch.rand(2, 80, 2) ** 3 * limits
    drawn = torch.cat([corner, torch.minimum(corner + size, limits)], dim=-1)
    width, height = limits.tolist()
    edges = torch.tensor([[0.0, 0, width, height], [width, height, width, height],
                          [width - 0.5, 0, width, height], [0, 0, 0, 0]])
    return torch.cat([drawn, edges.expand(2, -1, -1)], dim=1)


def extract_with_mmdet(extractor: Any, maps: list[Tensor], rois: Tensor) -> Tensor:
    image = torch.arange(2.0).view(2, 1, 1).expand(-1, rois.shape[1], -1)
    features: Tensor = extractor(tuple(maps), torch.cat([image, rois], dim=-1).reshape(-1, 5))
    return features


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling_ratio", [0, 1, 2, 3])
def test_features_match_mmdet_extractor(aligned: bool, sampling_ratio: int) -> None:
    extractor = build_extractor(aligned=aligned, sampling_ratio=sampling_ratio)
    maps, rois = random_maps(), random_rois()
    levels = extractor.map_roi_levels(torch.nn.functional.pad(rois.reshape(-1, 4), (1, 0)), 4)
    assert set(levels.tolist()) == {0, 1, 2, 3}
    features = RoIExtractorGraph(extractor, [item.shape[2:] for item in maps], INPUT_HW)
    assert features.is_packed == aligned
    actual = features(features.pack_levels(maps), rois)
    torch.testing.assert_close(actual, extract_with_mmdet(extractor, maps, rois), rtol=0, atol=5e-5)


def test_levels_smaller_than_input_are_not_packed() -> None:
    # 99 pixels at stride 4 in a network that drops the remainder: 24 cells, which end at 96.
    maps, rois = random_maps((96, 160)), random_rois((99, 163))
    extractor = build_extractor(sampling_ratio=2)
    features = RoIExtractorGraph(extractor, [item.shape[2:] for item in maps], (99, 163))
    assert not features.is_packed
    actual = features(features.pack_levels(maps), rois)
    torch.testing.assert_close(actual, extract_with_mmdet(extractor, maps, rois), rtol=0, atol=5e-5)


def test_single_level_matches_mmdet() -> None:
    extractor = SingleRoIExtractor(dict(type="RoIAlign", output_size=3, sampling_ratio=2), 6, [16])
    maps, rois = [torch.randn(2, 6, 6, 10)], random_rois()
    features = RoIExtractorGraph(extractor, [(6, 10)], INPUT_HW)
    torch.testing.assert_close(features(features.pack_levels(maps), rois),
                               extract_with_mmdet(extractor, maps, rois), rtol=0, atol=5e-5)
