"""ClassificationMetric against hand-computed values and timm's accuracy."""

import os
import tracemalloc

import numpy as np
import pytest
import torch
import torch.multiprocessing
from timm.utils import accuracy

from detkit.errors import ConfigError, DataError, WeightsError
from detkit.evaluation.classification.classification_metric import ClassificationMetric
from detkit.registry import METRICS
from detkit.structures.data_sample import DataSample

CLASSES = ("ant", "bee", "cow")


def sample(scores, label, **metainfo):
    data_sample = DataSample(metainfo={"img_path": "a.jpg"} | metainfo)
    data_sample.pred_scores = torch.as_tensor(scores)
    if label is not None:
        data_sample.gt_label = torch.tensor(label)
    return data_sample.to_dict()


def one_hot(label, count=3):
    return [0.8 if index == label else 0.2 / (count - 1) for index in range(count)]


def run_metric(samples, classes=CLASSES, **options):
    metric = METRICS.build({"type": "ClassificationMetric", **options})
    metric.dataset_meta = None if classes is None else {"classes": classes}
    for start in range(0, len(samples), 4):
        metric.process({}, samples[start:start + 4])
    return metric.evaluate(len(samples)), metric


def test_no_images_raise_data_error():
    with pytest.raises(DataError, match="no images were classified"):
        run_metric([])


def test_three_classes_by_hand():
    #             predicted
    #          ant  bee  cow
    # ant        3    1    0    recall 3/4
    # bee        1    1    2    recall 1/4
    # cow        0    0    2    recall 2/2
    # precision 3/4  1/2  2/4
    # f1: 6/8, 2*1/(2+1+3) = 1/3, 4/(4+2+0) = 2/3
    confusion = [(0, 0, 3), (0, 1, 1), (1, 0, 1), (1, 1, 1), (1, 2, 2), (2, 2, 2)]
    samples = [sample(one_hot(predicted), label) for label, predicted, count in confusion
               for _ in range(count)]
    metrics, metric = run_metric(samples, topk=(1, 2, 5))
    # Top 2: of the two equal scores the lower label ranks second, so a bee predicted as cow (2 x)
    # has ant second and is wrong; an ant predicted as bee and a bee predicted as ant are right.
    assert metrics == pytest.approx({
        "cls/top1": 6 / 10, "cls/top2": 8 / 10,
        "cls/precision": (3 / 4 + 1 / 2 + 2 / 4) / 3, "cls/recall": (3 / 4 + 1 / 4 + 1) / 3,
        "cls/f1": (6 / 8 + 1 / 3 + 2 / 3) / 3, "cls/balanced_accuracy": 2 / 3,
    })
    assert metric.scores.confusion.tolist() == [[3, 1, 0], [1, 1, 2], [0, 0, 2]]
    assert metric.scores.classes == CLASSES and metric.scores.images == 10


def test_class_without_images_and_class_never_predicted():
    # ant: 2 of 2 correct, and one bee. bee: 1 image, never predicted. cow: no image.
    metrics, metric = run_metric(
        [sample(one_hot(0), 0), sample(one_hot(0), 0),
         sample(one_hot(0), 1)])
    # As scikit-learn's average="macro" with its default zero_division: classes that occur count,
    # a quotient by zero as 0; and balanced accuracy is the mean recall of the classes with
    # images. Precision: ant 2/3, bee 0; recall: ant 1, bee 0; f1: ant 4 / (4 + 1 + 0), bee 0.
    assert metrics == pytest.approx({
        "cls/top1": 2 / 3, "cls/precision": (2 / 3 + 0) / 2, "cls/recall": 1 / 2,
        "cls/f1": (4 / 5 + 0) / 2, "cls/balanced_accuracy": 1 / 2,
    })
    bee, cow = metric.scores.per_class[1:]
    assert np.isnan([bee.precision, cow.precision, cow.recall, cow.f1]).all()
    assert (bee.recall, bee.f1, bee.support, cow.support) == (0, 0, 1, 0)


def test_false_predictions_of_absent_class_lower_all_but_balanced_accuracy():
    # ant: 1 of 2 correct, the other predicted as cow, which has no images; bee does not occur.
    # Precision: ant 1, cow 0; recall: ant 1/2, cow 0 (a quotient by zero); f1: ant 2/3, cow 0.
    metrics, _ = run_metric([sample(one_hot(0), 0), sample(one_hot(2), 0)])
    assert metrics == pytest.approx({
        "cls/top1": 1 / 2, "cls/precision": 1 / 2, "cls/recall": 1 / 4, "cls/f1": 1 / 3,
        "cls/balanced_accuracy": 1 / 2,
    })


def test_top_k_accuracy_equals_timm():
    generator = torch.Generator().manual_seed(4)
    scores = torch.rand(400, 20, generator=generator).softmax(1)
    labels = torch.randint(0, 20, (400,), generator=generator)
    samples = [sample(row, int(label)) for row, label in zip(scores, labels)]
    metrics, _ = run_metric(samples, classes=None)
    top1, top5 = accuracy(scores, labels, topk=(1, 5))
    assert metrics["cls/top1"] * 100 == pytest.approx(float(top1))
    assert metrics["cls/top5"] * 100 == pytest.approx(float(top5))


def test_tied_scores_rank_the_lower_label_first():
    constant = [0.2] * 5
    metrics, metric = run_metric([sample(constant, label) for label in range(5)], classes=None,
                                 topk=(1, 2, 4))
    assert (metrics["cls/top1"], metrics["cls/top2"], metrics["cls/top4"]) == (0.2, 0.4, 0.8)
    assert metric.scores.confusion[:, 0].tolist() == [1] * 5
    assert metric.scores.classes == ("0", "1", "2", "3", "4")


def test_k_above_number_of_classes_is_ignored():
    metrics, _ = run_metric([sample(one_hot(0), 0)])
    assert [key for key in metrics if "top" in key] == ["cls/top1"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floating_dtype_is_accepted(dtype):
    data_sample = {"pred_scores": torch.tensor(one_hot(1), dtype=dtype), "gt_label": 1}
    assert run_metric([data_sample])[0]["cls/top1"] == 1


@pytest.mark.parametrize(
    ("data_sample", "error", "message"),
    [
        (sample([0.5, float("nan"), 0.5], 0), WeightsError, "a.jpg: .*contain nan"),
        (sample([0.5, float("inf"), 0.5], 0), WeightsError, "nan or infinity"),
        (sample(one_hot(0), 3), DataError, "a.jpg: label: got 3, expected 0 to 2"),
        (sample(one_hot(0), -1), DataError, "label: got -1"),
        (sample(one_hot(0), None), DataError, "a.jpg: the image has no label"),
        ({"pred_scores": torch.zeros(2, 3), "gt_label": 0}, DataError, r"shape \(2, 3\)"),
    ],
    ids=["nan", "infinity", "label too high", "label below 0", "no label", "shape"],
)
def test_invalid_data_sample_error_names_the_image(data_sample, error, message):
    with pytest.raises(error, match=message):
        ClassificationMetric().process({}, [data_sample])


def test_class_count_mismatch_raises_config_error():
    with pytest.raises(ConfigError, match="got 4 scores per image, expected 3"):
        run_metric([sample(one_hot(0, 4), 0)])


@pytest.mark.parametrize("topk", [(), 0, (1, 0), (1.5,), "five"])
def test_invalid_topk_raises_config_error(topk):
    with pytest.raises(ConfigError, match="topk"):
        ClassificationMetric(topk=topk)


def test_scores_are_those_of_the_last_evaluation():
    metric = ClassificationMetric()
    assert metric.scores is None
    for label in (0, 1):
        metric.process({}, [sample(one_hot(label), 0)])
        metric.evaluate(1)
        assert metric.scores.images == 1
    assert metric.scores.confusion[0].tolist() == [0, 1, 0]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_classes():
    metric = ClassificationMetric()
    batch = [sample(torch.rand(1000), 7) for _ in range(100)]
    tracemalloc.start()
    for _ in range(200):
        metric.process({}, batch)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    # The scores themselves would be 80 MB; four integers per image are about 4 MB.
    assert len(metric.results) == 20_000 and kept < 8e6
    metric.evaluate(20_000)
    assert metric.scores.images == 20_000


def _run_rank(rank, folder):
    os.environ.update(MASTER_ADDR="127.0.0.1")
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank,
                                         world_size=2)
    metric = ClassificationMetric()
    metric.dataset_meta = {"classes": CLASSES}
    # Five images on two processes: the third of the second process repeats the first image.
    labels, predicted = [0, 1, 2, 0, 1, 0], [0, 1, 0, 0, 2, 0]
    metric.process({}, [sample(one_hot(predicted[at]), labels[at]) for at in range(rank, 6, 2)])
    metrics = metric.evaluate(5)
    torch.save((metrics, metric.scores and metric.scores.confusion.tolist()), f"{folder}/{rank}")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_scores_of_one(tmp_path):
    torch.multiprocessing.spawn(_run_rank, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / str(rank), weights_only=False) for rank in (0, 1))
    single, metric = run_metric([
        sample(one_hot(predicted), label)
        for label, predicted in zip([0, 1, 2, 0, 1], [0, 1, 0, 0, 2])
    ])
    assert first[0] == second[0] == single
    assert (first[1], second[1]) == (metric.scores.confusion.tolist(), None)
