"""The data sample of a classifier: fields, validation and copies."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

from detkit.structures.data_sample import DataSample


def test_new_sample_has_no_fields() -> None:
    sample = DataSample()
    assert "gt_label" not in sample and "pred_scores" not in sample
    assert sample.to_dict() == {}


@pytest.mark.parametrize("given", [3, torch.tensor(3), torch.tensor([3]),
                                   torch.tensor(3, dtype=torch.uint8)], ids=repr)
def test_gt_label_is_a_0d_int64_tensor(given: Any) -> None:
    sample = DataSample(gt_label=given)
    assert sample.gt_label.dtype == torch.int64 and sample.gt_label.shape == ()
    assert int(sample.gt_label) == 3


@pytest.mark.parametrize("given", [0.5, True, torch.tensor([1, 2]), torch.tensor([])], ids=repr)
def test_invalid_gt_label_raises(given: Any) -> None:
    with pytest.raises(ValueError, match="gt_label: got"):
        DataSample().gt_label = given


@pytest.mark.parametrize("given", [0.5, torch.ones(1, 2), torch.tensor([1, 2])], ids=repr)
def test_invalid_pred_scores_raise(given: Any) -> None:
    with pytest.raises(ValueError, match=r"pred_scores: got .*\(K,\)"):
        DataSample().pred_scores = given


def test_scores_are_float32() -> None:
    sample = DataSample(pred_scores=torch.tensor([0.25, 0.75], dtype=torch.bfloat16))
    assert sample.pred_scores.dtype == torch.float32


def test_to_dict_has_all_fields_and_metainfo() -> None:
    sample = DataSample(metainfo=dict(img_path="a.jpg", ori_shape=(4, 6), sample_idx=9))
    sample.gt_label, sample.pred_scores = 1, torch.tensor([0.25, 0.75])
    fields = sample.to_dict()
    assert set(fields) == {"img_path", "ori_shape", "sample_idx", "gt_label", "pred_scores"}
    assert fields["gt_label"] == 1 and fields["pred_scores"].tolist() == [0.25, 0.75]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s)),
                                    lambda s: s.to("cpu"), lambda s: s.clone()],
                         ids=["deepcopy", "pickle", "to", "clone"])
def test_copies_keep_all_fields(copied: Any) -> None:
    sample = DataSample(metainfo=dict(img_path="a.jpg"), gt_label=1,
                        pred_scores=torch.tensor([0.25, 0.75]))
    again = copied(sample)
    assert again.img_path == "a.jpg" and int(again.gt_label) == 1
    assert again.pred_scores.tolist() == [0.25, 0.75]


def test_fields_can_be_deleted_and_set_again() -> None:
    sample = DataSample(gt_label=1)
    del sample.gt_label
    assert "gt_label" not in sample
    sample.gt_label = 2
    assert int(sample.gt_label) == 2
