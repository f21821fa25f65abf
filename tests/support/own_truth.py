"""A data set whose truth is what a checkpoint itself finds: whoever finds otherwise loses AP."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from detkit import Predictor

SIZE_WH = (64, 48)
BEST = 5


def write_own_truth(folder: Path, checkpoint: Path, images: int = 4) -> Path:
    """A COCO folder with a train and a val split of ``images`` pictures each, and boxes on all."""
    predictor = Predictor(checkpoint, "cpu", score_threshold=0.0)
    for seed, split in enumerate(("train", "val")):
        truth: dict = {"images": [], "annotations": [], "categories": [
            {"id": at + 1, "name": name} for at, name in enumerate(predictor.classes)]}
        (folder / split).mkdir(parents=True)
        for number in range(1, images + 1):
            small = np.random.default_rng(10 * seed + number).integers(0, 256, (5, 7, 3), np.uint8)
            picture = Image.fromarray(small).resize(SIZE_WH, Image.Resampling.BICUBIC)
            picture.save(folder / split / f"{split}{number}.png")
            truth["images"].append({"id": number, "file_name": f"{split}{number}.png",
                                    "width": SIZE_WH[0], "height": SIZE_WH[1]})
            found = predictor(np.asarray(picture))
            for box, label in zip(found.boxes_xyxy[:BEST], found.labels[:BEST]):
                left, top, right, bottom = (float(side) for side in box)
                truth["annotations"].append({
                    "id": len(truth["annotations"]) + 1, "image_id": number, "iscrowd": 0,
                    "category_id": int(label) + 1, "area": (right - left) * (bottom - top),
                    "bbox": [left, top, right - left, bottom - top]})
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(truth))
    return folder
