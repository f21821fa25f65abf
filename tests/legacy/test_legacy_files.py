"""Checkpoints and configs written before the renames load, and say what they said then.

The files of this folder were written by ``make.py`` with the last version before the renames, and
stay as they are: new names have no place in them. The checkpoints are what training published,
packed by xz; ``expected.json`` has what they said of the three images, as hexadecimal floats, and
the sha256 of each file. Processors differ in the last bits, so old numbers are met closely; the
same model under its old and its new names is met to the last bit.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from detkit import Predictor, aliases
from detkit.cli.main import main
from detkit.config.load_config import load_config

HERE = Path(__file__).resolve().parent
EXPECTED: dict[str, Any] = json.loads((HERE / "expected.json").read_text())
MODELS = sorted(EXPECTED["models"])
RELATIVE, PIXELS = 1e-4, 0.01
IMAGES = 3

# Old name -> new name, each as it stands in the text of a config, quotes included. A name that is
# renamed goes here and into the table of aliases; "arch" of the backbone is named with its key.
RENAMED: dict[str, str] = {
    **{f"'{prefix}{old}'": f"'{prefix}{new}'" for old, new in aliases.TYPES.items()
       for prefix in ("", "detkit.")},
    "arch='nano'": "arch='micro'",
}


def unpacked(name: str, folder: Path) -> Path:
    """The checkpoint of this name, as a file that can be read."""
    path = folder / f"{name}.pth"
    path.write_bytes(lzma.decompress((HERE / f"{name}.pth.xz").read_bytes()))
    return path


def config_text(name: str) -> str:
    """The config that the checkpoint carries."""
    content = lzma.decompress((HERE / f"{name}.pth.xz").read_bytes())
    text: str = torch.load(io.BytesIO(content), weights_only=True)["meta"]["cfg"]
    return text


def with_new_names(name: str, folder: Path) -> Path:
    """The same checkpoint, whose config says everything by the new names."""
    content = torch.load(unpacked(name, folder), weights_only=True)
    for old, new in RENAMED.items():
        content["meta"]["cfg"] = content["meta"]["cfg"].replace(old, new)
    path = folder / f"{name}_renamed.pth"
    torch.save(content, path)
    return path


def results(checkpoint: Path) -> list[dict[str, np.ndarray]]:
    """What the model says of each image."""
    predictor: Any = Predictor(checkpoint, device="cpu")
    if predictor.task == "detection":
        predictor.score_threshold = 0.0
    found = []
    for index in range(IMAGES):
        with Image.open(HERE / f"image_{index}.png") as image:
            result = predictor(np.asarray(image))
        names = (("boxes_xyxy", "scores", "labels") if predictor.task == "detection"
                 else ("probabilities",))
        found.append({name: np.asarray(getattr(result, name)) for name in names})
    return found


def expected(name: str) -> list[dict[str, np.ndarray]]:
    """What it said when the files were written."""
    def number(value: Any) -> Any:
        if isinstance(value, list):
            return [number(item) for item in value]
        return float.fromhex(value) if isinstance(value, str) else value

    return [{key: np.asarray(number(value)) for key, value in image.items()}
            for image in EXPECTED["models"][name]["images"]]


def assert_same_detections(got: dict[str, np.ndarray], old: dict[str, np.ndarray]) -> None:
    """The same boxes under the same labels; those of nearly one score may change places."""
    assert len(got["scores"]) == len(old["scores"])
    left = list(range(len(got["scores"])))
    for box, score, label in zip(old["boxes_xyxy"], old["scores"], old["labels"]):
        same = [at for at in left if got["labels"][at] == label
                and abs(got["boxes_xyxy"][at] - box).max() < PIXELS
                and abs(got["scores"][at] - score) < RELATIVE * score]
        assert same, f"no detection of label {label} at {box} with score {score}"
        left.remove(same[0])


@pytest.mark.parametrize("name", sorted(EXPECTED["sha256"]))
def test_old_file_is_as_it_was_written(name: str) -> None:
    assert hashlib.sha256((HERE / name).read_bytes()).hexdigest() == EXPECTED["sha256"][name]


@pytest.mark.parametrize("name", MODELS)
def test_old_checkpoint_loads_and_gives_the_same_results(name: str, tmp_path: Path) -> None:
    checkpoint = unpacked(name, tmp_path)
    predictor = Predictor(checkpoint, device="cpu")
    assert list(predictor.classes) == EXPECTED["models"][name]["classes"]
    assert predictor.task == EXPECTED["models"][name]["task"]
    for got, old in zip(results(checkpoint), expected(name), strict=True):
        if predictor.task == "detection":
            assert_same_detections(got, old)
        else:
            np.testing.assert_allclose(got["probabilities"], old["probabilities"], rtol=RELATIVE)


def test_expected_results_are_not_empty() -> None:
    for name in MODELS:
        counts = [len(image.get("scores", image.get("probabilities", ())))
                  for image in expected(name)]
        assert sum(counts) >= 10, name


@pytest.mark.parametrize("name", MODELS)
def test_old_and_new_names_give_the_same_results_to_the_last_bit(
    name: str, tmp_path: Path
) -> None:
    assert any(old in config_text(name) for old in RENAMED)
    old, new = results(unpacked(name, tmp_path)), results(with_new_names(name, tmp_path))
    for before, after in zip(old, new, strict=True):
        assert before.keys() == after.keys()
        for key in before:
            assert before[key].tobytes() == after[key].tobytes(), key


@pytest.mark.parametrize("name", MODELS)
def test_old_config_of_a_user_loads_and_describes_the_checkpoint(
    name: str, tmp_path: Path
) -> None:
    cfg = load_config(HERE / f"{name}.py")
    scores = tmp_path / "scores.json"
    assert main(["test", str(HERE / f"{name}.py"), str(unpacked(name, tmp_path)), "--data",
                 str(labeled_images(tmp_path / "data", name)), "--device", "cpu", "--work-dir",
                 str(tmp_path / "work"), "--out", str(scores)]) == 0
    assert cfg.model.backbone.type in ("SwinTransformer", "EfficientNet", "ClassicNetwork")
    assert json.loads(scores.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_old_config_of_a_user_trains(name: str, tmp_path: Path) -> None:
    data = labeled_images(tmp_path / "data", name)
    batch = 2 if name.startswith("detector") else 4
    assert main(["train", str(HERE / f"{name}.py"), "--data", str(data), "--device", "cpu",
                 "--work-dir", str(tmp_path / "work"), "--cfg-options", "train_cfg.max_epochs=1",
                 f"train_dataloader.batch_size={batch}"]) == 0
    assert (tmp_path / "work" / "best.pth").is_file()


def labeled_images(folder: Path, name: str) -> Path:
    """The three images in COCO's form, each class once on each, as train, val and test splits."""
    classes = EXPECTED["models"][name]["classes"]
    (folder / "annotations").mkdir(parents=True)
    for split in ("train", "val", "test"):
        (folder / split).mkdir()
        images, annotations = [], []
        for index in range(IMAGES):
            image = Image.open(HERE / f"image_{index}.png")
            # Other bytes in each split: pictures in two of them are findings.
            shade = {"train": 0, "val": 3, "test": 6}[split]
            shifted = Image.fromarray(np.maximum(np.asarray(image), shade))
            shifted.save(folder / split / f"{index}.png")
            images.append({"id": index + 1, "file_name": f"{index}.png", "width": image.width,
                           "height": image.height})
            for label in range(len(classes)):
                annotations.append({
                    "id": len(annotations) + 1, "image_id": index + 1, "category_id": label + 1,
                    "bbox": [2 + 12 * label % 90, 4 + 5 * label, 30, 32], "area": 960,
                    "iscrowd": 0})
        (folder / "annotations" / f"{split}.json").write_text(json.dumps({
            "images": images, "annotations": annotations,
            "categories": [{"id": at, "name": one} for at, one in enumerate(classes, 1)]}))
    return folder
