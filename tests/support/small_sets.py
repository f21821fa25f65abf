"""Small data sets written by tests: images by Pillow, annotations as plain json and xml."""

import json
from pathlib import Path

import numpy as np
from PIL import Image


def draw(path: Path, size_wh=(64, 48), seed=0, **save) -> Path:
    """A noise image, different for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (size_wh[1], size_wh[0], 3), np.uint8)
    Image.fromarray(noise).save(path, **save)
    return path


def coco(names, boxes=(), classes=("cat", "dog"), size_wh=(64, 48)) -> dict:
    """COCO annotations: ``boxes`` are (image index, class index, [x, y, w, h])."""
    return {
        "images": [{"id": i, "file_name": name, "width": size_wh[0], "height": size_wh[1]}
                   for i, name in enumerate(names, start=1)],
        "annotations": [
            {"id": i, "image_id": image + 1, "category_id": label + 1, "bbox": box,
             "area": 1, "iscrowd": 0} for i, (image, label, box) in enumerate(boxes, start=1)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(classes, start=1)],
    }


def write_json(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def voc_xml(filename="a.jpg", size_wh=(64, 48), objects=(("cat", (1, 2, 30, 40)),)) -> str:
    """A VOC annotation; an object is (name, corners) or (name, corners, difficult, truncated)."""
    objects_xml = "".join(
        f"<object><name>{name}</name><truncated>{flags[1] if flags else 0}</truncated>"
        f"<difficult>{flags[0] if flags else 0}</difficult><bndbox><xmin>{box[0]}</xmin>"
        f"<ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for name, box, *flags in objects)
    return (f"<annotation><filename>{filename}</filename><size><width>{size_wh[0]}</width>"
            f"<height>{size_wh[1]}</height></size>{objects_xml}</annotation>")


class CocoFolder:
    """root/{train,val,test}/*.png and root/annotations/{train,val,test}.json, two images each.

    Each image has one cat and one dog, unless a test changes ``ground_truth`` before ``write``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ground_truth = {}
        for i, split in enumerate(("train", "val", "test")):
            names = [f"{split}{number}.png" for number in range(2)]
            for number, name in enumerate(names):
                draw(root / split / name, seed=10 * i + number)
            self.ground_truth[split] = coco(names, [
                (image, label, [4 + 20 * label, 5, 12, 10]) for image in (0, 1)
                for label in (0, 1)])

    def write(self) -> Path:
        for split, ground_truth in self.ground_truth.items():
            write_json(self.root / "annotations" / f"{split}.json", ground_truth)
        return self.root
