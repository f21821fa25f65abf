"""The data preprocessor and the pooling of a classifier."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from detkit.errors import ConfigError, DataError
from detkit.models.classifiers.cls_data_preprocessor import ClsDataPreprocessor
from detkit.models.classifiers.pooling import GlobalAveragePooling
from detkit.structures.data_sample import DataSample

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def make_images(count: int = 2, height: int = 5, width: int = 7) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (3, height, width)
    return [torch.randint(256, shape, dtype=torch.uint8, generator=generator) for _ in range(count)]


@pytest.mark.parametrize("input_type", ["list", "batch", "float"])
def test_normalization_matches_torchvision(input_type: str) -> None:
    listed = make_images()
    given: Any = listed if input_type == "list" else torch.stack(listed)
    given = given.float() if input_type == "float" else given
    before = torch.stack(listed).clone()
    batch = ClsDataPreprocessor(MEAN, STD)(dict(inputs=given))
    scaled = torch.stack(listed).float() / 255
    expected = tv.normalize(scaled, [m / 255 for m in MEAN], [s / 255 for s in STD])
    torch.testing.assert_close(batch["inputs"], expected, rtol=1e-5, atol=1e-5)
    assert batch["data_samples"] is None
    assert torch.equal(torch.stack(list(given)).to(torch.uint8), before)  # not in place


def test_without_mean_and_std_pixels_are_unchanged() -> None:
    batch = ClsDataPreprocessor()(dict(inputs=make_images()))["inputs"]
    assert batch.dtype == torch.float32
    assert torch.equal(batch, torch.stack(make_images()).float())


def test_normalization_runs_in_float32_under_autocast() -> None:
    preprocess = ClsDataPreprocessor(MEAN, STD)
    plain = preprocess(dict(inputs=make_images()))["inputs"]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(preprocess(dict(inputs=make_images()))["inputs"], plain)


def test_data_samples_pass_through_preprocessor() -> None:
    samples = [DataSample(gt_label=1), DataSample(gt_label=0)]
    batch = ClsDataPreprocessor()(dict(inputs=make_images(), data_samples=samples), True)
    assert batch["data_samples"] is samples


def test_batch_is_moved_to_model_device() -> None:
    preprocess = ClsDataPreprocessor(MEAN, STD).to("meta")
    assert preprocess(dict(inputs=make_images()))["inputs"].device.type == "meta"


def test_preprocessor_is_not_in_state_dict() -> None:
    assert not ClsDataPreprocessor(MEAN, STD).state_dict()


def test_images_of_different_sizes_are_rejected_with_suggestion() -> None:
    with pytest.raises(DataError, match="3 x 5 x 7, 3 x 6 x 7.*crop to one size"):
        ClsDataPreprocessor()(dict(inputs=make_images() + make_images(1, 6)))


@pytest.mark.parametrize(("inputs", "message"), [
    ([], "the batch has no images"),
    ([torch.zeros(1, 4, 4)], r"got \(1, 1, 4, 4\), expected \(B, 3, H, W\)"),
    ([torch.zeros(4, 4)], r"got \(1, 4, 4\), expected \(B, 3, H, W\)"),
], ids=["none", "grey", "flat"])
def test_invalid_images_are_rejected(inputs: list[Tensor], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ClsDataPreprocessor(MEAN, STD)(dict(inputs=inputs))


@pytest.mark.parametrize("wrong", [
    dict(mean=127.5), dict(mean=[]), dict(mean=["a"]), dict(std=[0, 1, 1]), dict(std=[-1]),
    dict(mean=[1, 2], std=[1, 2, 3]),
], ids=str)
def test_invalid_mean_or_std_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="ClsDataPreprocessor: (mean|std)"):
        ClsDataPreprocessor(**wrong)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_pooling_is_the_mean_of_the_last_map(layout: torch.memory_format) -> None:
    maps = tuple(torch.randn(2, channels, 5, 3).to(memory_format=layout) for channels in (4, 6))
    expected = torch.stack([maps[-1][:, c].flatten(1).mean(1) for c in range(6)], 1)
    for given in (maps, list(maps), maps[-1]):
        torch.testing.assert_close(GlobalAveragePooling()(given), expected)
    assert GlobalAveragePooling()(maps[-1][:0]).shape == (0, 6)


def test_vectors_pass_through_pooling() -> None:
    vectors = torch.randn(2, 4)
    assert GlobalAveragePooling()((vectors,)) is vectors


@pytest.mark.parametrize("features", [(), None, torch.zeros(2, 3, 4), [torch.zeros(5)]],
                         ids=["nothing", "none", "tokens", "flat"])
def test_pooling_rejects_invalid_features(features: Any) -> None:
    with pytest.raises(ConfigError, match="cannot be pooled.*a map .* or a vector"):
        GlobalAveragePooling()(features)
