"""Invalid data sets, and what ``train --data`` reads of them."""

from __future__ import annotations

import copy
import csv
import gzip
import io
import json
import random
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from odd_files import NAMES, odd_image, replace_with_special_file
from odd_values import BILLION_LAUGHS, corrupt_text, dump_json, mutate, odd_value
from outcome import Case, CaseDirs
from PIL import Image
from small_sets import coco, voc_xml

KINDS = ("coco", "coco", "coco", "one_coco", "voc", "voc", "classes", "csv", "results")
CLASSES = ("cat", "dog")


def prepare(base: Path, seeds: Sequence[int]) -> None:
    """Nothing is needed but what ``build`` writes; import what every case needs."""
    import detkit.data.classification.load_classification_data  # noqa: F401
    import detkit.data.detection.load_detection_data  # noqa: F401
    import detkit.evaluation.detection.coco_eval  # noqa: F401


def build(seed: int, dirs: CaseDirs, base: Path) -> Case:
    """The data set of a seed: a small good one of some kind with one to three changes."""
    rng = random.Random(f"data {seed}")
    kind = rng.choice(KINDS)
    changes = 1 if rng.random() < 0.7 else rng.randrange(2, 4)
    if kind == "results":
        return _results(dirs, rng, changes)
    write = {"coco": _coco, "one_coco": _coco, "voc": _voc, "classes": _classes, "csv": _csv}[kind]
    summary = write(dirs, rng, changes, *([kind == "one_coco"] if write is _coco else []))
    for _ in range(changes):
        if rng.random() < 0.35:
            summary.append(_corrupt_files(dirs, rng))
    as_classes = kind in ("classes", "csv") or rng.random() < 0.15
    return Case(f"{kind}{' as classes' if as_classes else ''}: {'; '.join(summary)}",
                lambda out: _open(dirs.input_dir, out, as_classes))


def _open(input_dir: Path, out: Path, as_classes: bool) -> int:
    """The check of the data, and then each image as training would read it."""
    from detkit.data.classification.label_csv import read_image_labels
    from detkit.data.classification.load_classification_data import load_classification_data
    from detkit.data.detection.load_detection_data import load_detection_data
    from detkit.data.images.read_image import read_image

    if as_classes:
        for split in load_classification_data(input_dir, out).splits.values():
            for record in list(read_image_labels(split.annotation_file))[:5]:
                read_image(Path(split.image_dir, record.path))
        return 0
    for split in load_detection_data(input_dir, out).splits.values():
        content = json.loads(split.annotation_file.read_text(encoding="utf-8"))
        for record in content["images"][:5]:
            read_image(Path(split.image_dir, record["file_name"]))
    return 0


@lru_cache(maxsize=None)
def _image(seed: int, size_wh: tuple[int, int], form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 255, (size_wh[1], size_wh[0], 3), np.uint8)
    Image.fromarray(noise).save(stream, form)
    return stream.getvalue()


def _draw(path: Path, seed: int, size_wh: tuple[int, int] = (40, 32)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_image(seed, size_wh, "JPEG" if path.suffix == ".jpg" else "PNG"))


def _file_names(dirs: CaseDirs) -> tuple[str, ...]:
    return (str(dirs.outside_dir / "secret.txt"), "../beside/secret.txt", "../../etc/passwd",
            "file:///etc/passwd", "http://example.com/a.png", *NAMES)


def _coco(dirs: CaseDirs, rng: random.Random, changes: int, one: bool = False) -> list[str]:
    summary = []
    splits = ("all",) if one else ("train", "val", "test")
    contents: dict[str, Any] = {}
    for at, split in enumerate(splits):
        names = [f"{split}{number}.png" for number in range(4 if one else 2)]
        for number, name in enumerate(names):
            _draw(dirs.input_dir / ("images" if one else split) / name, 10 * at + number)
        contents[split] = coco(names, [(image, label, [4 + 15 * label, 5, 12, 10])
                                       for image in range(len(names)) for label in (0, 1)],
                               size_wh=(40, 32))
    for _ in range(changes):
        summary.append(_change_coco(contents[rng.choice(splits)], rng, dirs))
    for split, content in contents.items():
        path = dirs.input_dir / "annotations" / ("instances.json" if one else f"{split}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dump_json(content))
    if rng.random() < 0.25:
        path = rng.choice(sorted((dirs.input_dir / "annotations").iterdir()))
        raw, description = corrupt_text(path.read_text(), rng)
        if rng.random() < 0.15:
            path.unlink()
            raw, path = gzip.compress(raw), path.with_name(path.name + ".gz")
            raw = raw[:rng.choice([len(raw), len(raw) // 2])]
        path.write_bytes(raw)
        summary.append(f"{path.name}: {description}")
    return summary


def _change_coco(content: dict[str, Any], rng: random.Random, dirs: CaseDirs) -> str:
    kind = rng.randrange(10)
    if not all(isinstance(content.get(key), list) and content[key] and all(
            isinstance(record, dict) for record in content[key])
            for key in ("images", "annotations", "categories")):
        kind = 9  # changed before
    if kind == 0:
        count = rng.choice([300, 2000])
        content["categories"] += [{"id": 100 + at, "name": f"class {at} {rng.random()}"}
                                  for at in range(count)]
        return f"{count} categories"
    if kind == 1:
        name = rng.choice(_file_names(dirs))
        rng.choice(content["images"])["file_name"] = name
        return f"file_name {name[:40]!r}"
    if kind == 2:
        rng.choice(content["annotations"])["bbox"] = [
            odd_value(rng) if rng.random() < 0.5 else rng.uniform(-50, 90)
            for _ in range(rng.choice([4, 4, 4, 3, 5]))]
        return "a bbox of odd values"
    if kind == 3:
        count = rng.choice([100, 5000])
        content["annotations"] += [{**rng.choice(content["annotations"]),
                                    "bbox": [1, 1, 0, -1]} for _ in range(count)]
        return f"{count} boxes without a size"
    if kind == 4:
        segmentation = odd_value(rng) if rng.random() < 0.5 else rng.choice(
            [{"size": [10**9, 10**9], "counts": "abc"}, {"size": [40, 32], "counts": [2**62]},
             {"size": [32, 40], "counts": b"\xff".decode("latin-1") * 50}, [[0] * 7], [[1, 2]]])
        for record in content["annotations"][:2]:
            record["segmentation"] = segmentation
            record.pop("bbox", None)
        return f"segmentation {segmentation!r}"[:80]
    return mutate(content, rng, _file_names(dirs))


def _voc(dirs: CaseDirs, rng: random.Random, changes: int) -> list[str]:
    root, summary = dirs.input_dir, []
    split = rng.random() < 0.5
    for at in range(5):
        _draw(root / "JPEGImages" / f"{at}.jpg", at)
        path = root / "Annotations" / f"{at}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(voc_xml(f"{at}.jpg", (40, 32), [(CLASSES[at % 2], (2, 3, 20, 21))]))
    if split:
        for name, numbers in (("train", "0\n1\n2"), ("val", "3"), ("test", "4")):
            path = root / "ImageSets" / "Main" / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(numbers + "\n")
    for _ in range(changes):
        files = sorted((root / "Annotations").iterdir()) + sorted(root.glob("ImageSets/Main/*"))
        path = rng.choice(files)
        summary.append(f"{path.name}: {_change_text(path, rng, dirs)}")
    return summary


def _change_text(path: Path, rng: random.Random, dirs: CaseDirs) -> str:
    text = path.read_text("utf-8", "replace")
    kind = rng.randrange(7)
    if kind == 0 and path.suffix == ".xml":
        path.write_text(BILLION_LAUGHS + text.replace("cat", "&l10;").replace("dog", "&l10;"))
        return "a billion laughs"
    if kind == 1 and path.suffix == ".xml":
        path.write_text(f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{dirs.outside_dir}/secret.txt">]>'
                        + text.replace("cat", "&x;").replace("dog", "&x;"))
        return "an external entity"
    if kind == 2:
        raw, description = corrupt_text(text, rng)
        path.write_bytes(raw)
        return description
    if kind == 3:
        path.write_text(text * rng.choice([2, 2000]))
        return "many times"
    words = [word for word in ("cat", "dog", ".jpg", "40", "32", "20", "21", "2", "3", "xmin",
                               "object", "bndbox", "size", "0", ".png", "train")
             if word in text] or [""]
    word = rng.choice(words)
    value = odd_value(rng, _file_names(dirs))
    new = str(value if not isinstance(value, int) or abs(value) < 10**300 else "9" * 400)
    path.write_bytes(text.replace(word, new[:9000], rng.choice([1, -1]))
                     .encode("utf-8", "surrogatepass"))
    return f"{word!r} is {new[:60]!r}"


def _classes(dirs: CaseDirs, rng: random.Random, changes: int) -> list[str]:
    summary = []
    splits = ("train", "val", "test") if rng.random() < 0.5 else (".",)
    for at, split in enumerate(splits):
        for label, name in enumerate(CLASSES):
            for number in range(3 if split in (".", "train") else 1):
                _draw(dirs.input_dir / split / name / f"{number}.png",
                      100 * at + 10 * label + number)
    for _ in range(changes):
        folder = dirs.input_dir / rng.choice(splits)
        kind = rng.randrange(6)
        if kind == 0:
            count = rng.choice([50, 300])
            for number in range(count):
                (folder / f"class{number}").mkdir(exist_ok=True)
            summary.append(f"{count} empty classes")
        elif kind == 1 and (folder / "cat").is_dir():
            name = rng.choice(("Cat", "CAT ", "cat\n", "e\u0301", "c" * 200, ".hidden", "train",
                               "\x1b[31m", "dog.png", "-", "__MACOSX"))
            shutil.copytree(folder / "cat", folder / name, symlinks=True, dirs_exist_ok=True)
            summary.append(f"a class {name[:20]!r}")
        elif kind == 2:
            shutil.rmtree(folder / "cat", ignore_errors=True)
            summary.append(f"no cat in {folder.name}")
        elif kind == 3:
            deep = folder / "cat"
            for _ in range(rng.choice([5, 60])):
                deep = deep / "deep"
            _draw(deep / "0.png", 7)
            summary.append("a deep folder")
        elif kind == 4:
            (dirs.input_dir / "classes.txt").write_text(rng.choice(["", "cat\n" * 3000, "\0", "x"]))
            summary.append("a class list")
        else:
            summary.append(_corrupt_files(dirs, rng))
    return summary


def _csv(dirs: CaseDirs, rng: random.Random, changes: int) -> list[str]:
    rows: list[list[Any]] = [["path", "label", "split"]]
    for number in range(6):
        _draw(dirs.input_dir / "images" / f"{number}.png", number)
        rows.append([f"images/{number}.png", CLASSES[number % 2],
                     ("train", "train", "train", "train", "val", "test")[number]])
    summary = []
    for _ in range(changes):
        row, column = rng.randrange(len(rows)), rng.randrange(3)
        value = odd_value(rng, _file_names(dirs))
        rows[row][column] = str(value if not isinstance(value, int) or abs(value) < 10**300 else 9)
        summary.append(f"row {row} column {column} = {rows[row][column]!r}"[:100])
        if rng.random() < 0.2:
            rows += [copy.copy(rng.choice(rows))] * rng.choice([1, 2000])
            summary.append("lines again")
    stream = io.StringIO()
    csv.writer(stream, delimiter=rng.choice(",,,;\t")).writerows(rows)
    raw = stream.getvalue().encode("utf-8", "surrogatepass")
    if rng.random() < 0.3:
        text = raw.decode("utf-8", "replace") + rng.choice(["", '"', '"x'])
        raw, description = corrupt_text(text, rng)
        summary.append(description)
    (dirs.input_dir / "list.csv").write_bytes(raw)
    return summary


def _corrupt_files(dirs: CaseDirs, rng: random.Random) -> str:
    """Something odd in the place of a file, a folder or an image."""
    paths = sorted(path for path in dirs.input_dir.rglob("*") if not path.is_symlink())
    images = [path for path in paths if path.suffix in (".png", ".jpg") and path.is_file()]
    kind = rng.randrange(5)
    if kind <= 1 and images:
        path = rng.choice(images)
        raw, description = odd_image(rng, path.read_bytes())
        path.write_bytes(raw)
        return f"{path.name}: {description}"
    if kind == 2 and images:
        path = rng.choice(images)
        name = rng.choice(NAMES)
        path.rename(path.with_name(name))
        return f"{path.name} renamed to {name[:20]!r}"
    if kind == 3 and images:
        path = rng.choice(images)
        twin = path.with_name(rng.choice([path.name.upper(), f"{path.stem}.jpeg",
                                          f"{path.stem}.gif", f"copy of {path.name}"]))
        shutil.copy(path, twin)
        return f"{twin.name} beside {path.name}"
    return replace_with_special_file(rng.choice(paths), rng, dirs.outside_dir)


def _results(dirs: CaseDirs, rng: random.Random, changes: int) -> Case:
    """A results file for ``evaluate``."""
    from detkit.cli.main import run_command

    ground_truth = coco(["a.png", "b.png"], [(0, 0, [1, 2, 10, 12]), (1, 1, [3, 4, 15, 9])],
                        size_wh=(40, 32))
    for record in ground_truth["annotations"]:
        record["area"] = record["bbox"][2] * record["bbox"][3]
    results: list = [{"image_id": 1 + at % 2, "category_id": 1 + at % 2, "score": at / 10,
                      "bbox": [1 + at, 2, 10, 12]} for at in range(6)]
    contents: dict[str, Any] = {"ground_truth": ground_truth, "results": results}
    summary = []
    for _ in range(changes):
        name = rng.choice(("ground_truth", "results", "results"))
        summary.append(f"{name}: {mutate(contents[name], rng)}")
    for name, content in contents.items():
        raw = dump_json(content).encode()
        if rng.random() < 0.1:
            raw, description = corrupt_text(raw.decode(), rng)
            summary.append(f"{name}: {description}")
        (dirs.input_dir / f"{name}.json").write_bytes(raw)
    if rng.random() < 0.1:
        summary.append(
            replace_with_special_file(
                dirs.input_dir / f"{rng.choice(('ground_truth', 'results'))}.json", rng,
                dirs.outside_dir))
    argv = [str(dirs.input_dir / "ground_truth.json"), str(dirs.input_dir / "results.json"),
            "--classwise"]
    return Case(f"evaluate: {'; '.join(summary)}", lambda out: run_command("evaluate", argv))
