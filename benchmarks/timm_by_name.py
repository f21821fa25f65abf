"""Which models of timm become a detector by their name alone.

Finds the levels of each model as ``TimmBackbone(name)`` does, by a run on torch's meta device
(shapes without data), fits the FPN of ``configs/_base_/models/cascade_rcnn_micro.py`` to them as a
config does, and runs the neck on maps of the published channels and strides. No weights are made or
downloaded. Prints how many models have which levels, and each failure with its reason:

    python benchmarks/timm_by_name.py                  # every name: long
    python benchmarks/timm_by_name.py --families       # one model of each family and size scheme
    python benchmarks/timm_by_name.py 'levit*' 'vit_tiny*' --size 320 320
    python benchmarks/timm_by_name.py --part 1 4       # the first quarter
"""

from __future__ import annotations

import argparse
import logging
import math
import re
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
from detkit.models.backbones.timm.feature_levels import resolve_levels
from detkit.registry import MODELS

_SIZES = "|".join((
    "tiny", "small", "base", "large", "huge", "giant", "gigantic", "enormous", "nano", "micro",
    "pico", "femto", "atto", "zepto", "little", "medium", "mediumd", "wee", "pwee", "betwixt",
    "dlittle", "so", "xlarge", "xxlarge", "xtiny", "xxtiny", "[nstmblhx]", "x+[ls]", "d?p?m?wee"))


def check_model(name: str, size: tuple[int, int]) -> tuple[str, str]:
    """The kind of result and its details: levels and neck, or why it is not a backbone."""
    try:
        found = resolve_levels(name, "auto", {})
    except DetkitError as error:
        kind = "no feature maps" if "no feature maps" in str(error) else "cannot be run"
        return kind, str(error)
    kind = "any input size" if found.rounds_up else "any input size, maps padded"
    if found.fixed_size is not None:
        # As ``infer_img_size`` does.
        unit = math.lcm(*found.strides, 32)
        try:
            resolve_levels(name, "auto", {"img_size": -(-max(size) // unit) * unit})
            kind = "one input size, img_size follows the pipelines"
        except DetkitError:
            kind = f"one input size, {found.fixed_size[0]} x {found.fixed_size[1]}"
    neck = ConfigDict(type="FPN", out_channels=64, num_outs=5)
    info = BackboneFeatureInfo(found.channels, found.strides)
    fit_neck_to_levels(ConfigDict(type="TimmBackbone", name=name), neck, "model.neck", info)
    neck["in_channels"] = list(found.channels)
    strides = get_neck_feature_info([neck], info).strides or ()
    with DefaultScope.overwrite_default_scope("detkit"):
        levels = MODELS.build(neck)([
            torch.zeros(1, channels, *(math.ceil(side / stride) for side in size))
            for channels, stride in zip(found.channels, found.strides)])
    # Partial cells of the finest level that finer ones are made of count as whole ones.
    unit = found.strides[0]
    expected = [(1, 64, *(math.ceil(math.ceil(side / unit) * unit / stride) if stride < unit
                          else math.ceil(side / stride) for side in size)) for stride in strides]
    shapes = [tuple(level.shape) for level in levels]
    if shapes != expected:
        return "other shapes", f"got {shapes}, expected {expected}"
    return kind, f"{', '.join(map(str, found.strides))}; {neck['type']}"


def one_of_each(names: list[str]) -> list[str]:
    """The first of the names that differ in numbers and words of size only."""
    families: dict[str, str] = {}
    for name in names:
        family = re.sub(rf"\d+[a-z]?(?![a-z])|(?<![a-z])({_SIZES})(?![a-z])", "", name)
        families.setdefault(re.sub("_+", "_", family), name)
    return list(families.values())


def main(argv: list[str] | None = None) -> None:
    """Check the models and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=["*"], help="patterns of timm's names")
    parser.add_argument("--size", nargs=2, type=int, default=(256, 320), metavar=("H", "W"))
    parser.add_argument("--families", action="store_true", help="one model of each family")
    parser.add_argument("--verbose", action="store_true", help="a line for each model")
    parser.add_argument("--part", nargs=2, type=int, default=(1, 1), metavar=("K", "N"))
    args = parser.parse_args(argv)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    MMLogger.get_instance("quiet", log_level="ERROR")
    part, parts = args.part
    names = sorted({name for pattern in args.names for name in timm.list_models(pattern)})
    names = (one_of_each(names) if args.families else names)[part - 1::parts]
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
        if args.verbose:
            print(f"{name}: {kind}; {detail}", flush=True)
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
