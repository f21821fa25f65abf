"""The small classifiers: images a second in training and in prediction, beside timm's ResNet-18.

Run:     python benchmarks/bench_classifiers.py [--threads N] [--rounds 5]
Prints:  for each config of a nano classifier, with six classes at the config's own size: images a
         second of a training step (its batch size, loss, backward, AdamW) and of prediction (a
         picture of 384x512 pixels in memory through the test pipeline and the network, 8 at a
         time and one at a time). Medians of rounds in which the candidates take turns, and in
         brackets the ratio to the last line, the same recipe around ``TimmNetwork``'s resnet18.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope

from detkit.config.infer.infer_fields import derive
from detkit.config.load_config import load_config
from detkit.inference.classification_adapter import ClassAdapter
from detkit.inference.image_pipeline import pipeline_of
from detkit.registry import MODELS
from detkit.structures.data_sample import ClassSample

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
NANO = ("classify_efficientnet_nano", "classify_convnextv2_nano", "classify_swin_nano")
CLASSES = [f"class {number}" for number in range(6)]
YARDSTICK = "timm resnet18"


class Candidate:
    """One classifier, with what it is trained and asked with."""

    def __init__(self, name: str, backbone: dict[str, Any] | None = None) -> None:
        cfg = load_config(CONFIGS / f"{name}.py")
        if backbone is not None:
            cfg.model.pop("backbone")  # Two dicts would be merged.
            cfg.model["backbone"], cfg.model["pooling"] = backbone, None
        derive(cfg, CLASSES)
        init_default_scope(cfg.default_scope)
        self.model: Any = MODELS.build(cfg.model)
        self.model.init_weights()
        self.optim = OptimWrapper(torch.optim.AdamW(self.model.parameters(), lr=1e-4))
        self.adapter = ClassAdapter(self.model, pipeline_of(cfg), len(CLASSES))
        rng = np.random.default_rng(0)
        self.picture = rng.integers(0, 256, (384, 512, 3), dtype=np.uint8)
        inputs = self.adapter.prepare(self.picture)["inputs"]
        self.batch_size = int(cfg.train_dataloader.batch_size)
        self.batch = {
            "inputs": [inputs] * self.batch_size,
            "data_samples": [ClassSample(gt_label=torch.tensor(label % len(CLASSES)))
                             for label in range(self.batch_size)],
        }

    def train(self) -> int:
        self.model.train()
        self.model.train_step(self.batch, self.optim)
        return self.batch_size

    def predict(self, count: int) -> int:
        self.model.eval()
        self.adapter.look([self.adapter.prepare(self.picture) for _ in range(count)])
        return count


def rate(work: Callable[[], int]) -> float:
    """Images a second of at least half a second of ``work``."""
    begin, images = time.perf_counter(), 0
    while time.perf_counter() - begin < 0.5:
        images += work()
    return images / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    models = {name: Candidate(name) for name in NANO}
    models[YARDSTICK] = Candidate(NANO[0], dict(type="TimmNetwork", name="resnet18"))
    works: dict[str, Callable[[Candidate], Callable[[], int]]] = {
        "training": lambda model: model.train,
        "prediction, 8": lambda model: lambda: model.predict(8),
        "prediction, 1": lambda model: lambda: model.predict(1),
    }
    found: dict[tuple[str, str], list[float]] = {}
    for turn in range(args.rounds + 1):
        for what, work in works.items():
            for name, model in models.items():
                measured = rate(work(model))
                if turn:  # The first round warms up.
                    found.setdefault((name, what), []).append(measured)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, images a second")
    print(f"{'':28}" + "".join(f"{what:>22}" for what in works))
    for name in models:
        cells = []
        for what in works:
            ours, theirs = (statistics.median(found[who, what]) for who in (name, YARDSTICK))
            cells.append(f"{ours:10.1f} ({ours / theirs:4.2f}x)")
        print(f"{name:28}" + "".join(f"{cell:>22}" for cell in cells))


if __name__ == "__main__":
    main()
