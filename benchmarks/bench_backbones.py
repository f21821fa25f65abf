"""Swin-T, ConvNeXt V2-T and EfficientNet-B3: detkit's against timm's and torchvision's.

Run:     python benchmarks/bench_backbones.py [--size 512] [--batch 2] [--threads N] [--bf16]
         [--device cuda --batch 16 --bf16] [--only swin convnextv2 efficientnet]
Prints:  for each network, forward (eval mode, no gradients) and forward + backward (training
         mode; EfficientNet also with frozen batch norm statistics, as detectors train it): median
         milliseconds of rounds that alternate between the libraries, peak megabytes of one step,
         and the ratios to detkit's; above 1 detkit's is better. 'cl' is the channels_last memory
         format.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from detkit.models.backbones import ConvNeXtV2, EfficientNet, SwinTransformer


class TorchvisionStages(nn.Module):
    """A network of torchvision that returns the outputs of some of its ``features``."""

    def __init__(self, model: nn.Module, stage_ends: Sequence[int]) -> None:
        super().__init__()
        features = model.features
        assert isinstance(features, nn.Sequential)
        self.features, self.stage_ends = features[: stage_ends[-1] + 1], stage_ends
        for module in self.modules():
            if isinstance(module, StochasticDepth):
                module.p = 0.0

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for index, stage in enumerate(self.features):
            x = stage(x)
            if index in self.stage_ends:
                maps.append(x)
        return maps


def timm_stages(name: str, **options: object) -> nn.Module:
    model: nn.Module = timm.create_model(name, features_only=True, drop_path_rate=0.0, **options)
    return model


def freeze_bn(model: nn.Module) -> nn.Module:
    """Keep every batch norm in eval mode, in training mode, too."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.train = lambda mode=True, module=module: module  # type: ignore[method-assign]
    return model


def candidates(size: int) -> dict[str, dict[str, Callable[[], nn.Module]]]:
    effnet = torchvision.models.efficientnet_b3
    detkit_factory = partial(EfficientNet, "b3", drop_path_rate=0.0)
    b3 = {
        "detkit": detkit_factory,
        "timm": lambda: timm_stages("efficientnet_b3", out_indices=(1, 2, 3, 4)),
        "torchvision": lambda: TorchvisionStages(effnet(), (2, 3, 5, 7)),
    }
    frozen = {name: partial(lambda build: freeze_bn(build()), build) for name, build in b3.items()}
    return {
        "swin": {
            "detkit": lambda: SwinTransformer("tiny", drop_path_rate=0.0),
            "timm": lambda: timm_stages("swin_tiny_patch4_window7_224", img_size=size,
                                        strict_img_size=False),
            "torchvision": lambda: TorchvisionStages(
                torchvision.models.swin_t(), (1, 3, 5, 7)),
        },
        "convnextv2": {
            "detkit": lambda: ConvNeXtV2("tiny", drop_path_rate=0.0),
            "timm": lambda: timm_stages("convnextv2_tiny"),
        },
        "efficientnet": b3,
        "efficientnet, frozen bn": frozen | {"detkit": partial(detkit_factory, norm_eval=True)},
    }


def step(model: nn.Module, image: Tensor, training: bool, bf16: bool) -> None:
    with torch.autocast(image.device.type, torch.bfloat16, enabled=bf16):
        if not training:
            with torch.no_grad():
                model(image)
            return
        model.zero_grad()
        loss = torch.stack([out.float().mean() for out in model(image)]).sum()
    loss.backward()


def seconds(model: nn.Module, image: Tensor, training: bool, bf16: bool) -> float:
    if image.is_cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    step(model, image, training, bf16)
    if image.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_memory(
    build: Callable[[], nn.Module], shape: tuple[int, ...], training: bool, bf16: bool,
    device: str, channels_last: bool,
) -> float:
    """Peak megabytes of the second of two steps, relative to the memory before the first."""
    model = build().to(device).train(training)
    image = torch.randn(shape, device=device)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        image = image.contiguous(memory_format=torch.channels_last)
    if device != "cpu":
        before = torch.cuda.memory_allocated()
        step(model, image, training, bf16)
        torch.cuda.reset_peak_memory_stats()
        step(model, image, training, bf16)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    before = resident_mb("VmRSS")
    step(model, image, training, bf16)
    # Resets Linux's peak to the current memory.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    step(model, image, training, bf16)
    return resident_mb("VmHWM") - before


def resident_mb(line: str) -> float:
    """Megabytes of the process: current (VmRSS) or peak (VmHWM)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(rf"^{line}:\s+(\d+) kB", status, re.MULTILINE)[1]) / 2**10


def measure_peak(network: str, name: str, arguments: argparse.Namespace, training: bool) -> float:
    torch.set_num_threads(arguments.threads)
    shape = (arguments.batch, 3, arguments.size, arguments.size)
    build = candidates(arguments.size)[network][name.removesuffix(" cl")]
    return peak_memory(build, shape, training, arguments.bf16, arguments.device,
                       channels_last=name.endswith(" cl"))


def peak_in_subprocess(network: str, name: str, arguments: argparse.Namespace,
                       training: bool) -> float:
    # A process's peak never decreases, so each network is measured in a new process.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure_peak, (network, name, arguments, training))


def print_row(network: str, arguments: argparse.Namespace, training: bool) -> None:
    shape = (arguments.batch, 3, arguments.size, arguments.size)
    image = torch.randn(shape, device=arguments.device)
    models: dict[str, tuple[nn.Module, Tensor]] = {}
    for name, build in candidates(arguments.size)[network].items():
        models[name] = build().to(arguments.device).train(training), image
        if name != "detkit" and network != "swin":
            models[f"{name} cl"] = (
                build().to(arguments.device).to(memory_format=torch.channels_last).train(training),
                image.contiguous(memory_format=torch.channels_last),
            )
    times: dict[str, list[float]] = {name: [] for name in models}
    for round_index in range(arguments.rounds + 1):
        for name, (model, batch) in models.items():
            elapsed = seconds(model, batch, training, arguments.bf16)
            if round_index:  # the first round is a warm-up
                times[name].append(elapsed)
    medians = {name: 1000 * statistics.median(durations) for name, durations in times.items()}
    del models
    peaks = {name: peak_in_subprocess(network, name, arguments, training) for name in medians}
    direction = "forward + backward" if training else "forward"
    print(f"{network}, {direction}", flush=True)
    for name, median in medians.items():
        print(f"  {name:15s} {median:8.0f} ms {median / medians['detkit']:6.2f}x"
              f" {peaks[name]:8.0f} MB {peaks[name] / peaks['detkit']:6.2f}x", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="under autocast")
    parser.add_argument("--only", nargs="+", choices=("swin", "convnextv2", "efficientnet"),
                        default=("swin", "convnextv2", "efficientnet"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for network in candidates(arguments.size):
        if network.partition(",")[0] in arguments.only:
            for training in (False, True):
                if training or "frozen" not in network:
                    print_row(network, arguments, training)


if __name__ == "__main__":
    main()
