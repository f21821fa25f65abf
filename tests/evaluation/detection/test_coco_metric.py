"""CocoBBoxMetric against mmdet's CocoMetric on the same predictions."""

import json
import math
import os

import numpy as np
import pytest
import torch
import torch.multiprocessing
from mmdet.evaluation import CocoMetric
from mmengine.structures import InstanceData

from detkit.errors import DataError
from detkit.evaluation.detection.coco_metric import METRIC_KEYS, CocoBBoxMetric
from detkit.evaluation.detection.coco_table import scores_table
from detkit.registry import METRICS

CLASSES = ("dog", "cat", "ant")


@pytest.fixture
def ann_file(tmp_path):
    """Twenty images; 'ant' has no ground truth.

    Ids ascend in the order of the classes: in any other order mmdet's CocoMetric gives labels to
    the wrong categories, and its table of classes names the wrong rows.
    """
    draw = np.random.default_rng(3)
    ground_truth = {
        "images": [{"id": number, "file_name": f"{number}.jpg", "width": 320, "height": 320}
                   for number in range(5, 25)],
        "categories": [{"id": 2, "name": "dog"}, {"id": 4, "name": "cat"},
                       {"id": 9, "name": "ant"}],
        "annotations": [],
    }
    for image in ground_truth["images"]:
        for _ in range(draw.integers(1, 6)):
            box = [*draw.integers(0, 150, 2).tolist(), *draw.integers(10, 150, 2).tolist()]
            ground_truth["annotations"].append({
                "id": len(ground_truth["annotations"]) + 1, "image_id": image["id"], "bbox": box,
                "category_id": int(draw.choice([2, 4])), "area": box[2] * box[3],
                "iscrowd": int(draw.random() < 0.1),
            })
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(ground_truth))
    return path


def predictions(ann_file):
    """The input of a metric in mmdet's val loop: a dict per image with tensors."""
    ground_truth = json.loads(ann_file.read_text())
    draw = np.random.default_rng(7)
    labels = {2: 0, 4: 1, 9: 2}
    samples = []
    for image in ground_truth["images"]:
        boxes, classes = [], []
        for item in ground_truth["annotations"]:
            if item["image_id"] == image["id"]:
                x, y, width, height = item["bbox"]
                box = np.array([[x, y], [x + width, y + height]])
                for _ in range(2):
                    jittered = (box + draw.normal(0, 2, (2, 2))).clip(0, 320)
                    boxes.append(np.sort(jittered, axis=0).ravel().tolist())
                classes += [labels[item["category_id"]], int(draw.integers(0, 3))]
        samples.append({
            "img_id": image["id"],
            "ori_shape": (320, 320),
            "pred_instances": InstanceData(
                bboxes=torch.tensor(boxes), labels=torch.tensor(classes),
                scores=torch.tensor(draw.random(len(boxes)).astype(np.float32)),
            ),
        })
    return samples


def empty_predictions(ann_file):
    empty = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64),
                         scores=torch.zeros(0))
    return [{**sample, "pred_instances": empty} for sample in predictions(ann_file)]


def run_metric(metric, samples, classes=CLASSES):
    metric.dataset_meta = {"classes": classes}
    for start in range(0, len(samples), 3):
        metric.process({}, samples[start:start + 3])
    return metric.evaluate(len(samples))


def test_no_predictions_give_zero_ap(ann_file):
    scores = run_metric(METRICS.build({"type": "CocoBBoxMetric", "ann_file": str(ann_file)}),
                        empty_predictions(ann_file))
    assert scores["coco/bbox_mAP"] == scores["coco/bbox_AR@100"] == 0


def test_half_precision_predictions_are_accepted(ann_file):
    # numpy has no bfloat16. 320 pixels in its 8 bits are off by up to 1: close, not equal.
    full_precision = run_metric(CocoBBoxMetric(str(ann_file)), predictions(ann_file))
    samples = predictions(ann_file)
    for sample in samples:
        predicted = sample["pred_instances"]
        predicted.bboxes, predicted.scores = predicted.bboxes.bfloat16(), predicted.scores.bfloat16(
        )
    half_precision = run_metric(CocoBBoxMetric(str(ann_file)), samples)
    assert half_precision["coco/bbox_mAP_50"] == pytest.approx(
        full_precision["coco/bbox_mAP_50"], abs=0.05
    )


def test_equals_mmdets_metric_to_its_three_digits(ann_file):
    samples = predictions(ann_file)
    items = ["mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l", "AR@100"]
    reference = run_metric(CocoMetric(ann_file=str(ann_file), classwise=True, metric_items=items),
                           samples)
    metrics = run_metric(CocoBBoxMetric(ann_file=str(ann_file), classwise=True), samples)
    assert 0.1 < reference["coco/bbox_mAP"] < 0.9
    assert set(reference) <= set(metrics)
    for key, value in reference.items():
        # 'ant' has no ground truth: nan in mmdet.
        assert round(metrics[key], 3) == pytest.approx(value, nan_ok=True), key


def test_metric_keys_are_mmdets_and_values_unrounded(ann_file):
    metric = CocoBBoxMetric(ann_file=str(ann_file))
    metrics = run_metric(metric, predictions(ann_file))
    assert set(metrics) == {f"coco/{key}" for key in METRIC_KEYS.values()}
    assert metrics["coco/bbox_mAP"] == metric.scores.AP != round(metric.scores.AP, 3)
    assert "AP50" in scores_table(metric.scores)


def test_only_classes_of_the_model_are_evaluated_as_in_mmdet(ann_file):
    samples = predictions(ann_file)
    for sample in samples:
        predicted = sample["pred_instances"]
        sample["pred_instances"] = predicted[predicted.labels == 0]
    reference = run_metric(CocoMetric(ann_file=str(ann_file)), samples, ("dog",))
    metrics = run_metric(CocoBBoxMetric(ann_file=str(ann_file)), samples, ("dog",))
    assert round(metrics["coco/bbox_mAP"], 3) == reference["coco/bbox_mAP"]


def test_labels_match_categories_by_class_name(ann_file):
    samples = predictions(ann_file)
    expected = run_metric(CocoBBoxMetric(ann_file=str(ann_file)), samples)
    permutation = torch.tensor([2, 1, 0])
    for sample in samples:
        sample["pred_instances"].labels = permutation[sample["pred_instances"].labels]
    assert run_metric(CocoBBoxMetric(ann_file=str(ann_file)), samples,
                      ("ant", "cat", "dog")) == pytest.approx(expected, nan_ok=True)


def test_no_ground_truth_gives_nan(ann_file):
    ground_truth = json.loads(ann_file.read_text())
    ann_file.write_text(json.dumps({**ground_truth, "annotations": []}))
    scores = run_metric(CocoBBoxMetric(ann_file=str(ann_file)), empty_predictions(ann_file))
    assert all(map(math.isnan, scores.values()))


def test_written_results_file_gives_the_same_scores(ann_file, tmp_path):
    from detkit.evaluation.detection.coco_eval import evaluate_boxes

    metric = CocoBBoxMetric(ann_file=str(ann_file), outfile_prefix=str(tmp_path / "new" / "run"))
    run_metric(metric, predictions(ann_file))
    assert os.listdir(tmp_path / "new") == ["run.bbox.json"]
    again = evaluate_boxes(ann_file, tmp_path / "new" / "run.bbox.json")
    assert again.stats == metric.scores.stats


def test_unknown_class_raises_before_evaluation(ann_file):
    metric = CocoBBoxMetric(ann_file=str(ann_file))
    with pytest.raises(DataError, match="no category 'dogs'.*did you mean 'dog'"):
        metric.dataset_meta = {"classes": ("cat", "dogs")}


def test_missing_annotation_file_raises_on_construction(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        CocoBBoxMetric(ann_file=str(tmp_path / "absent.json"))


def test_unknown_image_id_raises(ann_file):
    samples = predictions(ann_file)
    samples[0]["img_id"] = 4711
    with pytest.raises(DataError, match="predictions: .*image_id.*4711"):
        run_metric(CocoBBoxMetric(ann_file=str(ann_file)), samples)


def _run_rank(rank, ann_file, out):
    os.environ.update(MASTER_ADDR="127.0.0.1")
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{out}.meet", rank=rank, world_size=2)
    # mmengine's sampler deals the images out in turn: 0, 2, 4, ... and 1, 3, 5, ...
    samples = predictions(ann_file)
    metric = CocoBBoxMetric(ann_file=str(ann_file))
    metric.dataset_meta = {"classes": CLASSES}
    metric.process({}, samples[rank::2])
    scores = metric.evaluate(len(samples))
    out.with_suffix(f".{rank}").write_text(json.dumps(scores))
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_scores_of_one(ann_file, tmp_path):
    # By fork: two fresh interpreters would spend their time importing.
    torch.multiprocessing.start_processes(
        _run_rank, (ann_file, tmp_path / "scores"), 2, start_method="fork")
    single = run_metric(CocoBBoxMetric(ann_file=str(ann_file)), predictions(ann_file))
    for rank in (0, 1):
        assert json.loads((tmp_path / f"scores.{rank}").read_text()) == single
