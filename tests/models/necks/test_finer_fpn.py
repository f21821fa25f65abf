"""FinerFPN: FPN's levels, the finer ones by hand, invalid arguments."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.necks import FPN

from detkit.errors import ConfigError
from detkit.models.necks import FinerFPN


def small(**changes: Any) -> FinerFPN:
    torch.manual_seed(0)
    neck = FinerFPN(**{"in_channels": [6, 8], "out_channels": 4, "num_outs": 5, "num_finer": 2,
                       **changes})
    neck.init_weights()
    return neck


def test_coarser_levels_are_those_of_an_fpn_with_the_same_weights() -> None:
    neck = small(add_extra_convs="on_output")
    fpn = FPN([6, 8], 4, 3, add_extra_convs="on_output")
    missing = fpn.load_state_dict(neck.state_dict(), strict=False)
    assert not missing.missing_keys
    assert {name.split(".")[0] for name in missing.unexpected_keys} == {"upsample", "finer_convs"}
    maps = (torch.randn(1, 6, 4, 6), torch.randn(1, 8, 2, 3))
    for own, other in zip(neck(maps)[2:], fpn(maps), strict=True):
        assert torch.equal(own, other)


def test_finer_levels_double_the_finest_output_step_by_step() -> None:
    neck = small().eval()
    with torch.no_grad():
        levels = neck((torch.randn(2, 6, 4, 6), torch.randn(2, 8, 2, 3)))
        finer = levels[2]
        for step, level in enumerate((levels[1], levels[0])):
            transposed, conv = neck.upsample[step][0], neck.finer_convs[step]
            # Kernel and stride 2: a matrix product for each of the 2 x 2 outputs of a position.
            blocks = torch.einsum("bchw,cdij->bdhiwj", finer, transposed.weight)
            finer = blocks.flatten(4, 5).flatten(2, 3) + transposed.bias[:, None, None]
            finer = F.gelu(F.layer_norm(finer.movedim(1, -1), (4,), eps=1e-6).movedim(-1, 1))
            torch.testing.assert_close(level, F.conv2d(finer, conv.weight, conv.bias, padding=1))
    assert [tuple(level.shape[2:]) for level in levels] == [(16, 24), (8, 12), (4, 6), (2, 3),
                                                            (1, 2)]


@pytest.mark.parametrize("arguments, words", [
    (dict(in_channels=[]), "in_channels"),
    (dict(in_channels=8), "in_channels"),
    (dict(out_channels=0), "out_channels"),
    (dict(num_finer=0), "num_finer: got 0, expected a whole number from 1"),
    (dict(num_finer=True), "num_finer"),
    (dict(num_outs=3), "num_outs: got 3, expected a whole number from 4"),
    (dict(start_level=1), "start_level: got 1, expected no such argument.*backbone's levels"),
], ids=str)
def test_invalid_arguments_are_rejected(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        small(**arguments)
