"""A dataset annotated with a checkpoint's own detections, so that its AP is high."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from detkit import Predictor

SIZE_WH = (64, 48)
BEST = 5


def write_own_truth(folder: Path, checkpoint: Path, images: int = 4) -> Path:
    """Write a COCO folder with train and val splits of ``images`` annotated images each."""
    predictor = Predictor(checkpoint, "cpu", score_threshold=0.0)
    for seed, split in enumerate(("train", "val")):
        coco: dict = {"images": [], "annotations": [], "categories": [
            {"id": index + 1, "name": name} for index, name in enumerate(predictor.classes)]}
        (folder / split).mkdir(parents=True)
        for image_id in range(1, images + 1):
            rng = np.random.default_rng(10 * seed + image_id)
            small = rng.integers(0, 256, (5, 7, 3), np.uint8)
            image = Image.fromarray(small).resize(SIZE_WH, Image.Resampling.BICUBIC)
            image.save(folder / split / f"{split}{image_id}.png")
            coco["images"].append({"id": image_id, "file_name": f"{split}{image_id}.png",
                                   "width": SIZE_WH[0], "height": SIZE_WH[1]})
            detections = predictor(np.asarray(image))
            for box, label in zip(detections.boxes_xyxy[:BEST], detections.labels[:BEST]):
                left, top, right, bottom = (float(side) for side in box)
                coco["annotations"].append({
                    "id": len(coco["annotations"]) + 1, "image_id": image_id, "iscrowd": 0,
                    "category_id": int(label) + 1, "area": (right - left) * (bottom - top),
                    "bbox": [left, top, right - left, bottom - top]})
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(coco))
    return folder
