"""Counting on fake tensors or on the CPU, and errors of models that cannot run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from detkit.analysis.complexity.model_complexity import get_model_complexity
from detkit.analysis.complexity.model_parts import Complexity
from detkit.errors import ConfigError
from detkit.registry import MODELS

QUICKSTART = Path(__file__).resolve().parents[2] / "configs" / "quickstart.py"
WARNING = "does not run with fake tensors; running it on the CPU"


class PyramidBackbone(nn.Module):
    """1 x 1 convolutions of an image and of every 2nd, 4th and 8th pixel of its rows and columns.

    Args:
        pretrained, init_cfg: raise, in place of a download.
        reads_values: whether forward reads a tensor value.
    """

    feature_channels = (16, 32, 64)

    def __init__(
        self, pretrained: bool = False, reads_values: bool = False, init_cfg: Any = None
    ) -> None:
        super().__init__()
        if pretrained or init_cfg is not None:
            raise RuntimeError("fetched")
        self.reads_values = reads_values
        self.levels = nn.ModuleList(nn.Conv2d(3, c, 1) for c in self.feature_channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        if self.reads_values and bool(image.isnan().any()):
            raise ValueError("not a number")
        return [level(image[:, :, ::step, ::step]) for step, level in zip((8, 16, 32), self.levels)]


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    MODELS.register_module(name="PyramidBackbone", module=PyramidBackbone)
    yield
    MODELS.module_dict.pop("PyramidBackbone")


def pyramid(size: tuple[int, int] = (64, 64), **backbone: Any) -> Complexity:
    """The quickstart's detector on a ``PyramidBackbone``."""
    return get_model_complexity(QUICKSTART, size=size, options={
        "model.backbone": dict(_delete_=True, type="PyramidBackbone", **backbone),
        "model.neck.num_outs": 5,
        "model.rpn_head.anchor_generator.strides": [8, 16, 32, 64, 128],
        "model.roi_head.bbox_roi_extractor.featmap_strides": [8, 16, 32]})


def test_no_weights_are_downloaded() -> None:
    complexity = pyramid(pretrained=True,
                         init_cfg=dict(type="Pretrained", checkpoint="nowhere.pth"))
    backbone = next(part for part in complexity.parts if part.name == "backbone")
    # 1 x 1 convolutions of 3 channels over maps of 8x8, 4x4 and 2x2 cells.
    assert backbone.multiply_adds == 3 * (64 * 16 + 16 * 32 + 4 * 64)


def test_data_dependent_model_is_counted_on_the_cpu(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain, data_dependent = pyramid(), pyramid(reads_values=True)
    assert (plain.ran_on, data_dependent.ran_on) == ("shapes", "cpu")
    assert data_dependent.parts == plain.parts
    assert sum(WARNING in record.getMessage() for record in caplog.records) == 1


def test_computed_input_size_is_limited() -> None:
    assert pyramid((4096, 4096)).ran_on == "shapes"
    with pytest.raises(ConfigError, match=r"got 2048x2049, expected at most 4194304 pixels.*; pass "
                                          r"a smaller --size"):
        pyramid((2048, 2049), reads_values=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model.backbone": dict(_delete_=True, type="PyramidBackbone", reads_values=True),
          "model.roi_head.num_stages": 9}, "AssertionError: assert "),
        ({"model.neck.norm_cfg": dict(type="GN")}, "num_groups"),
        ({"model.rpn_head.anchor_generator.scales": ("a", 4)}, "Error: .*'?str'?"),
    ],
    ids=["stages", "norm", "scales"],
)
def test_model_that_cannot_be_built_is_not_run(
    options: dict[str, Any], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match=f"the model cannot be built: got .*{message}"):
        get_model_complexity(QUICKSTART, size=(64, 64), options=options)
    assert WARNING not in caplog.text


def test_model_that_cannot_run_error_gives_the_cause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = "model.roi_head.bbox_roi_extractor.roi_layer.output_size"
    with caplog.at_level(logging.WARNING), pytest.raises(
            ConfigError, match="cannot be counted at 64x64: got RuntimeError: .* expected"):
        get_model_complexity(QUICKSTART, size=(64, 64), options={key: 5})
    assert WARNING not in caplog.text


def test_failed_cpu_count_error_gives_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "isnan", lambda image: torch.ones_like(image) > 0)
    with pytest.raises(ConfigError, match="counted at 64x64: got ValueError: not a number"):
        pyramid(reads_values=True)
