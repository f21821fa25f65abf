"""Swin-T: ours against timm's and torchvision's, forward and forward + backward, on the CPU.

Run:     python benchmarks/bench_swin.py [--size 512] [--batch 2] [--threads N] [--bf16]
Prints:  milliseconds (the lowest of some rounds, in which the three take turns) and how many
         times faster ours is; above 1 is faster. CPU time, so that a busy machine tells less
         in the figures; wall time with --wall.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import timm
import torch
import torchvision
from torch import Tensor, nn

from detkit.models.backbones import SwinTransformer


class TorchvisionStages(nn.Module):
    """torchvision's Swin, handing out the map of each stage."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torchvision.models.swin_t().features

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for index, part in enumerate(self.features):
            x = part(x)
            if index % 2:
                maps.append(x)
        return maps


def candidates(size: int) -> Iterator[tuple[str, nn.Module]]:
    yield "detkit", SwinTransformer("tiny", drop_path_rate=0.0)
    yield "timm", timm.create_model(
        "swin_tiny_patch4_window7_224",
        features_only=True,
        img_size=size,
        drop_path_rate=0.0,
        strict_img_size=False,
    )
    yield "torchvision", TorchvisionStages()


def forward_only(model: nn.Module, image: Tensor) -> None:
    with torch.no_grad():
        model(image)


def forward_backward(model: nn.Module, image: Tensor) -> None:
    model.zero_grad()
    torch.stack([out.float().mean() for out in model(image)]).sum().backward()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bf16", action="store_true", help="under autocast")
    parser.add_argument("--wall", action="store_true", help="wall time instead of CPU time")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock: Callable[[], float] = time.perf_counter if arguments.wall else time.process_time
    image = torch.randn(arguments.batch, 3, arguments.size, arguments.size)
    models = dict(candidates(arguments.size))
    for name, step in (("forward", forward_only), ("forward + backward", forward_backward)):
        best = dict.fromkeys(models, float("inf"))
        for turn in range(arguments.rounds + 1):
            for which, model in models.items():
                model.train(step is forward_backward)
                start = clock()
                with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bf16):
                    step(model, image)
                if turn:  # the first warms up
                    best[which] = min(best[which], clock() - start)
        row = ", ".join(f"{which} {1000 * seconds:.0f} ms" for which, seconds in best.items())
        gain = ", ".join(
            f"{seconds / best['detkit']:.2f}x {which}"
            for which, seconds in best.items()
            if which != "detkit"
        )
        print(f"{name:20s} {row}; speed: {gain}", flush=True)


if __name__ == "__main__":
    main()
