"""Which models of timm become a detector by their name alone.

Builds each model as ``TimmBackbone(name)`` on torch's meta device (shapes without data), fits the
FPN of ``configs/_base_/models/cascade_rcnn_micro.py`` to its levels as a config does, runs both for
an image, and compares the maps with the published channels and strides. No weights are made or
downloaded. Prints a table of levels and of failures:

    python benchmarks/timm_by_name.py
    python benchmarks/timm_by_name.py 'levit*' 'vit_tiny*' --size 320 320
    python benchmarks/timm_by_name.py --part 1 4      # the first quarter
"""

from __future__ import annotations

import argparse
import logging
import math
import time
import warnings
from collections import Counter, defaultdict

import timm
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from detkit.config.infer.feature_info import BackboneFeatureInfo
from detkit.config.infer.neck_feature_info import get_neck_feature_info
from detkit.config.infer.neck_for_levels import fit_neck_to_levels
from detkit.errors import DetkitError
from detkit.models.backbones import TimmBackbone
from detkit.registry import MODELS


def check_model(name: str, size: tuple[int, int]) -> tuple[str, str]:
    """The kind of result and its details: levels and neck, or why it is not a backbone."""
    try:
        backbone = TimmBackbone(name)
    except DetkitError as error:
        kind = "no feature maps" if "no feature maps" in str(error) else "cannot be run"
        return kind, str(error)
    strides, channels = backbone.feature_strides, backbone.feature_channels
    kind = "any input size"
    if backbone.fixed_size is not None:
        # As ``infer_img_size`` does.
        unit = math.lcm(*strides, 32)
        try:
            backbone = TimmBackbone(name, img_size=-(-max(size) // unit) * unit)
            kind = "one input size, img_size follows the pipelines"
        except DetkitError:
            kind = f"one input size of {backbone.fixed_size}"
    cfg = ConfigDict(type="TimmBackbone", name=name)
    neck = ConfigDict(type="FPN", out_channels=64, num_outs=5)
    info = BackboneFeatureInfo(channels, strides)
    fit_neck_to_levels(cfg, neck, "model.neck", info)
    neck["in_channels"] = list(channels)
    levels = get_neck_feature_info([neck], info)
    height, width = (min(sides) for sides in zip(size, backbone.fixed_size or size))
    with DefaultScope.overwrite_default_scope("detkit"):
        neck_module = MODELS.build(neck)
    maps = backbone.eval()(torch.zeros(1, 3, height, width))
    outputs = neck_module(maps)
    expected = [(1, count, math.ceil(height / stride), math.ceil(width / stride))
                for count, stride in zip(channels, strides)]
    whole = [math.ceil(side / strides[0]) * strides[0] for side in (height, width)]
    expected += [(1, 64, *(math.ceil(side / stride) for side in whole))
                 for stride in levels.strides or ()]
    found = [tuple(level.shape) for level in (*maps, *outputs)]
    if found != expected:
        return "other shapes", f"got {found}, expected {expected}"
    listed = ",".join(map(str, strides)) + f" {neck['type']}"
    return kind, listed


def main(argv: list[str] | None = None) -> None:
    """Check the models and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=["*"], help="patterns of timm's names")
    parser.add_argument("--size", nargs=2, type=int, default=(256, 320), metavar=("H", "W"))
    parser.add_argument("--part", nargs=2, type=int, default=(1, 1), metavar=("K", "N"))
    args = parser.parse_args(argv)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    MMLogger.get_instance("quiet", log_level="ERROR")
    part, parts = args.part
    names = sorted({name for pattern in args.names for name in timm.list_models(pattern)})
    names = names[part - 1::parts]
    results: dict[str, list[tuple[str, str]]] = defaultdict(list)
    start = time.perf_counter()
    for name in names:
        try:
            with torch.device("meta"), torch.no_grad():
                kind, detail = check_model(name, tuple(args.size))
        # Any failure is a result here.
        except Exception as error:
            kind, detail = "error", f"{type(error).__name__}: {error}"
        results[kind].append((name, detail))
    print(f"{len(names)} models of timm {timm.__version__} in {time.perf_counter() - start:.0f} s")
    for kind, rows in sorted(results.items(), key=lambda item: -len(item[1])):
        print(f"\n{kind}: {len(rows)}")
        if "input size" in kind:
            for levels, count in Counter(detail for _, detail in rows).most_common():
                examples = [name for name, detail in rows if detail == levels][:6]
                print(f"  {levels}: {count} ({', '.join(examples)})")
        else:
            for name, detail in rows:
                print(f"  {name}: {detail[:160]}")


if __name__ == "__main__":
    main()
