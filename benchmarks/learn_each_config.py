"""Check that the loss falls: train every config under configs/ for some hundred steps.

Run:     python benchmarks/learn_each_config.py --data PATH [--size 96] [--only NAME ...]
Prints:  a Markdown table: for each config, trained by tools/train.py, the number of steps, the mean
         loss of the first and of the last tenth of them, their ratio, and seconds per step. Nothing
         is pre-trained, images are small, the batch size is 2, the learning rate warms up over 20
         steps, and RoI heads sample 64 RoIs per image.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, median

from detkit.config.load_config import load_config

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))
# SGD's learning rates are for batch sizes of 16 and 64.
OVERRIDES = {
    "cascade_r50_dcn": ["optim_wrapper.optimizer.lr=0.0025"],
    "efficientdet_d0": ["optim_wrapper.optimizer.lr=0.0025"],
}


def training_options(size: int, epochs: int) -> list[str]:
    pipeline = [
        {"type": "LoadImage"},
        {"type": "LoadAnnotations", "with_bbox": True},
        {"type": "Resize", "scale": (size, size), "keep_ratio": True},
        {"type": "RandomFlip", "prob": 0.5},
        {"type": "PackDetInputs"},
    ]
    warm_up = [{"type": "LinearLR", "start_factor": 0.01, "by_epoch": False, "begin": 0, "end": 20}]
    return [
        f"train_dataloader.dataset.pipeline={pipeline}",
        "train_dataloader.batch_size=2",
        "train_dataloader.num_workers=1",
        f"train_cfg.max_epochs={epochs}",
        f"train_cfg.val_begin={epochs + 1}",  # no validation, not even after the last epoch
        f"param_scheduler={warm_up}",
        "default_hooks.logger.interval=1",
        "log_processor.window_size=1",
        "default_hooks.checkpoint.interval=1000",
        "default_hooks.checkpoint.save_best=None",
        "default_hooks.checkpoint.save_last=False",
    ]


def roi_sampling_options(config: Path) -> list[str]:
    """Sample 64 RoIs per image in two-stage models, an eighth, since RoIs dominate the time."""
    train_cfg = load_config(config).model.get("train_cfg") or {}
    if "rcnn" not in train_cfg:
        return []
    rcnn = train_cfg.rcnn
    stages = range(len(rcnn)) if isinstance(rcnn, list) else [None]
    keys = ["rcnn" if stage is None else f"rcnn.{stage}" for stage in stages]
    return [*(f"model.train_cfg.{key}.sampler.num=64" for key in keys),
            "model.train_cfg.rpn_proposal.nms_pre=500",
            "model.train_cfg.rpn_proposal.max_per_img=200"]


def losses(folder: Path) -> tuple[list[float], list[float]]:
    """The loss and the seconds of each step, from the run's log."""
    rows = []
    for file in sorted(folder.rglob("vis_data/scalars.json")):
        rows += [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    steps = [row for row in rows if "loss" in row]
    return [row["loss"] for row in steps], [row["time"] for row in steps]


def train_config(config: Path, arguments: argparse.Namespace) -> str:
    extra = [
        option for prefix, options in OVERRIDES.items() if config.stem.startswith(prefix)
        for option in options
    ]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "tools/train.py", str(config.relative_to(ROOT)),
                   "--data", arguments.data, "--work-dir", folder, "--from-scratch",
                   "--cfg-options", *training_options(arguments.size, arguments.epochs),
                   *roi_sampling_options(config), *extra]
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                                 env={**os.environ, "PYTHONWARNINGS": "ignore"})
        if process.returncode:
            message = process.stderr.strip().splitlines() or [f"exit code {process.returncode}"]
            return f"| {config.stem} | failed: {message[-1]} | | | | |"
        loss, seconds = losses(Path(folder))
    tenth = max(len(loss) // 10, 1)
    first, last = mean(loss[:tenth]), mean(loss[-tenth:])
    return (f"| {config.stem} | {len(loss)} | {first:.2f} | {last:.2f} | {last / first:.2f} "
            f"| {median(seconds):.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="a COCO or VOC folder")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    arguments = parser.parse_args()
    arguments.data = str(Path(arguments.data).resolve())
    print("| config | steps | loss, first tenth | last tenth | ratio | seconds per step |")
    print("|---|---|---|---|---|---|")
    for config in CONFIGS:
        if arguments.only is None or config.stem in arguments.only:
            print(train_config(config, arguments), flush=True)


if __name__ == "__main__":
    main()
