"""Training and inference speed of the small classifiers, compared with timm's ResNet-18.

Run:     python benchmarks/bench_classifiers.py [--threads N] [--rounds 5]
Prints:  images per second for each config of a nano classifier, with six classes at the config's
         size: of training steps (the config's batch size, loss, backward, AdamW) and of inference
         (a 384x512 image in memory through the test pipeline and the network, in batches of 8 and
         of 1). Medians of rounds that alternate between the models, and in brackets the ratio to
         the last line, the same recipe with ``TimmNetwork``'s resnet18.
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

from detkit.config.infer.infer_fields import infer_fields
from detkit.config.load_config import load_config
from detkit.config.pipeline_cfg import get_test_pipeline_cfg
from detkit.inference.classification_adapter import ClassificationAdapter
from detkit.registry import MODELS
from detkit.structures.data_sample import DataSample

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
MICRO_CONFIGS = ("classify_efficientnet_nano", "classify_convnextv2_nano", "classify_swin_nano")
CLASSES = [f"class {label}" for label in range(6)]
BASELINE = "timm resnet18"


class Candidate:
    """One classifier with its optimizer and its input data."""

    def __init__(self, name: str, backbone: dict[str, Any] | None = None) -> None:
        cfg = load_config(CONFIGS / f"{name}.py")
        if backbone is not None:
            cfg.model.pop("backbone")  # Otherwise the two dicts are merged.
            cfg.model["backbone"], cfg.model["pooling"] = backbone, None
        infer_fields(cfg, CLASSES)
        init_default_scope(cfg.default_scope)
        self.model: Any = MODELS.build(cfg.model)
        self.model.init_weights()
        self.optim = OptimWrapper(torch.optim.AdamW(self.model.parameters(), lr=1e-4))
        self.adapter = ClassificationAdapter(self.model, get_test_pipeline_cfg(cfg), len(CLASSES))
        rng = np.random.default_rng(0)
        self.image = rng.integers(0, 256, (384, 512, 3), dtype=np.uint8)
        inputs = self.adapter.prepare(self.image)["inputs"]
        self.batch_size = int(cfg.train_dataloader.batch_size)
        self.batch = {
            "inputs": [inputs] * self.batch_size,
            "data_samples": [DataSample(gt_label=torch.tensor(label % len(CLASSES)))
                             for label in range(self.batch_size)],
        }

    def train(self) -> int:
        self.model.train()
        self.model.train_step(self.batch, self.optim)
        return self.batch_size

    def predict(self, count: int) -> int:
        self.model.eval()
        self.adapter.predict([self.adapter.prepare(self.image) for _ in range(count)])
        return count


def images_per_second(workload: Callable[[], int]) -> float:
    """Images per second of ``workload``, run for at least half a second."""
    start, images = time.perf_counter(), 0
    while time.perf_counter() - start < 0.5:
        images += workload()
    return images / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    models = {name: Candidate(name) for name in MICRO_CONFIGS}
    models[BASELINE] = Candidate(MICRO_CONFIGS[0], dict(type="TimmNetwork", name="resnet18"))
    workloads: dict[str, Callable[[Candidate], Callable[[], int]]] = {
        "training": lambda model: model.train,
        "inference, 8": lambda model: lambda: model.predict(8),
        "inference, 1": lambda model: lambda: model.predict(1),
    }
    measurements: dict[tuple[str, str], list[float]] = {}
    for round_index in range(args.rounds + 1):
        for task, workload in workloads.items():
            for name, model in models.items():
                measured = images_per_second(workload(model))
                if round_index:  # The first round is a warm-up.
                    measurements.setdefault((name, task), []).append(measured)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, images per second")
    print(f"{'':28}" + "".join(f"{task:>22}" for task in workloads))
    for name in models:
        cells = []
        for task in workloads:
            model_rate, baseline_rate = (statistics.median(measurements[model_name, task])
                                         for model_name in (name, BASELINE))
            cells.append(f"{model_rate:10.1f} ({model_rate / baseline_rate:4.2f}x)")
        print(f"{name:28}" + "".join(f"{cell:>22}" for cell in cells))


if __name__ == "__main__":
    main()
