"""Images as a detector's pipeline has them between its steps, real and painted."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from mmdet.structures.bbox import HorizontalBoxes

from detkit.data.transforms.load_image import LoadImage

CLASSES = ("RBC", "WBC", "Platelets")


def make_results(image: np.ndarray, boxes: Any = (), labels: Any = None,
                 ignored: Any = None) -> dict[str, Any]:
    """What LoadImage and LoadAnnotations give, of an image and its boxes in xyxy."""
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    labels = range(len(boxes)) if labels is None else labels
    flags = [False] * len(boxes) if ignored is None else ignored
    return dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2],
                gt_bboxes=HorizontalBoxes(boxes),
                gt_bboxes_labels=np.array(labels, np.int64).reshape(-1),
                gt_ignore_flags=np.array(flags, bool))


def blood_cells(shared_data: Path, number: int) -> dict[str, Any]:
    """One image of the blood cells with its boxes."""
    folder = shared_data / "det_bccd_voc" / "BCCD"
    root = ElementTree.parse(folder / "Annotations" / f"BloodImage_{number:05}.xml").getroot()
    names = ("xmin", "ymin", "xmax", "ymax")
    boxes = [[float(item.findtext(f"bndbox/{name}") or "nan") for name in names]
             for item in root.iter("object")]
    labels = [CLASSES.index(item.findtext("name") or "") for item in root.iter("object")]
    path = str(folder / "JPEGImages" / f"BloodImage_{number:05}.jpg")
    return make_results(LoadImage()({"img_path": path})["img"], boxes, labels)


def painted(results: dict[str, Any], gap: int = 8) -> dict[str, Any]:
    """The same image painted black, and white inside of boxes; only boxes apart by ``gap``."""
    kept: list[np.ndarray] = []
    image = np.zeros_like(results["img"])
    for box in results["gt_bboxes"].tensor.numpy().astype(int):
        if all(box[0] > other[2] + gap or box[2] + gap < other[0] or box[1] > other[3] + gap
               or box[3] + gap < other[1] for other in kept):
            kept.append(box)
            image[box[1]:box[3], box[0]:box[2]] = 255
    return make_results(image, kept)
