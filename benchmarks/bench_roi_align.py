"""RoIAlign on the CPU: torchvision's kernel against detkit's, alone and in a full training step.

Both alternate in one process, so that the load of the machine affects both; each value is the
median of several measurements. The boxes are random, with sides from 16 pixels to the image's, and
are assigned to P2..P5 as in mmdet.

Run:     python benchmarks/bench_roi_align.py [--repeats 7] [--threads N] [--cpu-time] [--step-only]
Prints:  wall-clock milliseconds and the speedup of detkit's kernel. With --cpu-time the CPU time of
         the process, which depends less on other load but adds up all threads.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import detkit  # noqa: F401  (registers the import hook that mmcv.ops needs)
from detkit.ops.roi_align import roi_align as dispatch

SIZES = {
    "train 320, 64 ch, 4 x 512": (320, 320, 4, 64, 512),
    "train 320, 256 ch, 4 x 512": (320, 320, 4, 256, 512),
    "train 800x1344, 64 ch, 4 x 512": (800, 1344, 4, 64, 512),
    "train 800x1344, 256 ch, 4 x 512": (800, 1344, 4, 256, 512),
    "predict 320, 64 ch, 100": (320, 320, 1, 64, 100),
    "predict 320, 64 ch, 300": (320, 320, 1, 64, 300),
    "predict 320, 256 ch, 1000": (320, 320, 1, 256, 1000),
    "predict 800x1344, 256 ch, 100": (800, 1344, 1, 256, 100),
    "predict 800x1344, 256 ch, 1000": (800, 1344, 1, 256, 1000),
}
STRIDES = (4, 8, 16, 32)
FINEST_SIDE = 56  # mmdet's finest_scale: boxes up to twice this side are assigned to P2


def main() -> None:
    """Parse the arguments, and print the measurements."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="measurements of each value")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--step-only", action="store_true", help="only the training step")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    clock_name = "CPU" if options.cpu_time else "wall"
    print(f"torch {torch.__version__}, {options.threads} threads, {clock_name} ms, medians")
    print(f"{'':44}{'torchvision':>12}{'detkit':>9}{'ratio':>8}")
    if not options.step_only:
        for name, size in SIZES.items():
            for direction, fn in operator_calls(size).items():
                if direction == "forward" or name.startswith("train"):
                    print_row(f"{name}, {direction}", fn, clock, options.repeats)
    for precision, step in training_steps().items():
        print_row(f"step of a small cascade, {precision}", step, clock, options.repeats)


def print_row(
    label: str, fn: Callable[[], Any], clock: Callable[[], float], repeats: int
) -> None:
    """Time ``fn`` with both kernels, alternating, and print the medians."""
    with use_torchvision_kernels():
        fn()
    fn()
    torchvision_ms, detkit_ms = [], []
    for _ in range(repeats):
        with use_torchvision_kernels():
            torchvision_ms.append(milliseconds(fn, clock))
        detkit_ms.append(milliseconds(fn, clock))
    torchvision_median, detkit_median = map(statistics.median, (torchvision_ms, detkit_ms))
    print(f"{label:44}{torchvision_median:>12.1f}{detkit_median:>9.1f}"
          f"{torchvision_median / detkit_median:>7.2f}x", flush=True)


def milliseconds(fn: Callable[[], Any], clock: Callable[[], float]) -> float:
    start = clock()
    fn()
    return (clock() - start) * 1e3


@contextmanager
def use_torchvision_kernels() -> Iterator[None]:
    """Make mmcv's RoIAlign use torchvision's kernel for all sizes."""
    names = ("FORWARD_MIN_VALUES", "BACKWARD_MIN_VALUES")
    before = {name: getattr(dispatch, name) for name in names}
    for name in names:
        setattr(dispatch, name, math.inf)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(dispatch, name, value)


def random_rois(height: int, width: int, images: int, rois_per_image: int) -> Tensor:
    """(images * rois_per_image, 5): image index, xyxy in pixels; log-uniform sides."""
    generator = torch.Generator().manual_seed(0)
    side, aspect, left, top = torch.rand(4, images * rois_per_image, generator=generator)
    side = 16 * (min(height, width) / 16) ** side
    aspect = 2 ** (aspect - 0.5)
    box_width, box_height = (side * aspect).clamp(max=width), (side / aspect).clamp(max=height)
    x, y = left * (width - box_width), top * (height - box_height)
    image = torch.arange(images).repeat_interleave(rois_per_image).float()
    return torch.stack((image, x, y, x + box_width, y + box_height), 1)


def operator_calls(size: tuple[int, int, int, int, int]) -> dict[str, Callable[[], None]]:
    """The forward and backward calls over all levels of a pyramid."""
    height, width, images, channels, rois_per_image = size
    rois = random_rois(height, width, images, rois_per_image)
    side = ((rois[:, 3] - rois[:, 1]) * (rois[:, 4] - rois[:, 2])).sqrt()
    level = (side / FINEST_SIDE + 1e-6).log2().floor().clamp(0, len(STRIDES) - 1)
    calls = []
    for level_index, stride in enumerate(STRIDES):
        features = torch.randn(images, channels, height // stride, width // stride)
        level_rois = rois[level == level_index]
        output = torch.zeros(len(level_rois), channels, 7, 7)
        calls.append((features, level_rois, output, 1 / stride, torch.randn_like(output)))
    empty = torch.empty(0)

    def forward() -> None:
        for features, level_rois, output, scale, _ in calls:
            dispatch.roi_align_forward(
                features, level_rois, output, empty, empty, 7, 7, scale, 0, 1, True
            )

    def backward() -> None:
        for features, level_rois, _, scale, grad_output in calls:
            grad = torch.zeros_like(features)
            dispatch.roi_align_backward(
                grad_output, level_rois, empty, empty, grad, 7, 7, scale, 0, 1, True
            )

    return {"forward": forward, "backward": backward}


def training_steps() -> dict[str, Callable[[], None]]:
    """Training steps of a small Cascade R-CNN with ResNet-18, on 4 random 320 x 320 images."""
    import mmdet
    from mmdet.registry import MODELS
    from mmdet.testing import demo_mm_inputs
    from mmdet.utils import register_all_modules
    from mmengine.config import Config

    register_all_modules()
    mmdet_configs = Path(mmdet.__file__).parent / ".mim/configs/cascade_rcnn"
    config = Config.fromfile(str(mmdet_configs / "cascade-rcnn_r50_fpn_1x_coco.py")).model
    config.backbone.update(depth=18, init_cfg=None)
    config.neck.update(in_channels=[64, 128, 256, 512], out_channels=64)
    config.rpn_head.update(in_channels=64, feat_channels=64)
    config.roi_head.bbox_roi_extractor.out_channels = 64
    for head in config.roi_head.bbox_head:
        head.update(in_channels=64, fc_out_channels=256, num_classes=10)
    torch.manual_seed(0)
    model = MODELS.build(config).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    batch = demo_mm_inputs(4, [(3, 320, 320)] * 4, num_classes=10)
    data = model.data_preprocessor(batch, True)

    def step(bf16: bool) -> None:
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            losses, _ = model.parse_losses(model(**data, mode="loss"))
        optimizer.zero_grad()
        losses.backward()
        optimizer.step()

    return {"fp32": lambda: step(False), "bf16 autocast": lambda: step(True)}


if __name__ == "__main__":
    main()
