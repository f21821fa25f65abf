"""Write this folder's checkpoints, images and expected numbers: with the last version before the
renames, and its checkout as the current folder, python tests/legacy/make.py [NAME ...]

Each config here is trained by ``tools/train.py`` on a small drawing of the built-in sample, and
its ``best.pth`` kept. The weights are rounded to bfloat16's digits, which halves what xz leaves of
them. Nothing of it is to be made anew by a later version: that these files were not is their worth.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from detkit import Predictor
from detkit.data.sample import make_sample

HERE = Path(__file__).resolve().parent
CONFIGS = sorted([*HERE.glob("detector_*.py"), *HERE.glob("classifier_*.py")])
SIZE_HW, COUNTS = (96, 128), {"train": 240, "val": 16, "test": 12}
IMAGES = 3


def main() -> None:
    """Train, round, predict, write."""
    asked = sys.argv[1:] or [config.stem for config in CONFIGS]
    expected: dict[str, Any] = {"models": {}}
    if (HERE / "expected.json").is_file():
        expected = json.loads((HERE / "expected.json").read_text())
    with tempfile.TemporaryDirectory(prefix="legacy-") as temporary:
        data = make_sample(Path(temporary) / "data", 0, COUNTS, SIZE_HW, video_frames=0)
        for index in range(IMAGES):
            with Image.open(data / "test" / f"{index:06d}.jpg") as image:
                image.save(HERE / f"image_{index}.png", optimize=True)
        for config in (HERE / f"{name}.py" for name in asked):
            work = Path(temporary) / config.stem
            subprocess.run(
                [sys.executable, "tools/train.py", str(config), "--data", str(data), "--seed", "0",
                 "--device", "cpu", "--work-dir", str(work)], check=True)
            content = rounded(work / "best.pth")
            (HERE / f"{config.stem}.pth.xz").write_bytes(lzma.compress(content, preset=9))
            (work / "best.pth").write_bytes(content)
            expected["models"][config.stem] = results_of(work / "best.pth")
    expected["sha256"] = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(HERE.iterdir())
        if path.suffix in (".xz", ".png") or path.stem in expected["models"]
    }
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def rounded(checkpoint: Path) -> bytes:
    """The file with every weight as float32 that bfloat16 holds exactly."""
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"] = {
        name: tensor.bfloat16().float() if tensor.dtype == torch.float32 else tensor
        for name, tensor in content["state_dict"].items()
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def results_of(checkpoint: Path) -> dict[str, Any]:
    """What the model says of each image, every number exact."""
    predictor = Predictor(checkpoint, device="cpu")
    if predictor.task == "detection":
        predictor.score_threshold = 0.0
    images = []
    for index in range(IMAGES):
        with Image.open(HERE / f"image_{index}.png") as image:
            result = predictor(np.asarray(image))
        if predictor.task == "detection":
            images.append({
                "boxes_xyxy": [[float(side).hex() for side in box] for box in result.boxes_xyxy],
                "scores": [float(score).hex() for score in result.scores],
                "labels": [int(label) for label in result.labels],
            })
        else:
            images.append({"probabilities": [float(p).hex() for p in result.probabilities]})
    return {"task": predictor.task, "classes": list(predictor.classes), "images": images}


if __name__ == "__main__":
    main()
