"""Images of the cases: class a is drawn red, class b blue, on grey, so boxes can be measured."""

import json

import numpy as np

from detkit.data.images.read_image import read_image

COLORS = {"a": (220, 30, 30), "b": (30, 60, 220)}


def annotations_of(data):
    """(image name, pixels, class, box, annotation) of every box of all splits, each split once."""
    result = []
    distinct = {split.annotation_file.read_bytes(): split for split in data.splits.values()}
    for split in distinct.values():
        content = json.loads(split.annotation_file.read_text())
        names = {image["id"]: image["file_name"] for image in content["images"]}
        for box in content["annotations"]:
            name = names[box["image_id"]]
            result.append((name, read_image(split.image_dir / name),
                          data.classes[box["category_id"] - 1], box["bbox"], box))
    return result


def drawn_box(pixels, name):
    """[x, y, width, height] of the pixels that have a class's color."""
    distance = np.abs(pixels.astype(int) - COLORS[name]).max(-1)
    ys, xs = np.nonzero(distance < 60)  # JPEG smears the edges
    return [xs.min(), ys.min(), xs.max() + 1 - xs.min(), ys.max() + 1 - ys.min()]


def count_boxes_on_objects(data, slack=2):
    """How many boxes are the extent of their class's color within ``slack`` pixels, of how many."""
    boxes = annotations_of(data)
    fits = [np.abs(np.subtract(box, drawn_box(pixels, name))).max() <= slack
            for _, pixels, name, box, _ in boxes]
    return sum(fits), len(fits)
