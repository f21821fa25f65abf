"""Steps of a pipeline whose result is the same each time, computed once an image."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from mmcv.transforms import BaseTransform, Compose
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from detkit.errors import ConfigError
from detkit.registry import TRANSFORMS

# Without random numbers: their result depends on the image and its annotations only.
_REPEATABLE = ("LoadImage", "LoadImageFromFile", "LoadAnnotations", "FilterAnnotations", "Resize",
               "FixScaleResize", "FixShapeResize", "ResizeShortestEdge", "Pad")


@TRANSFORMS.register_module()
class CachedSteps(BaseTransform):  # type: ignore[misc]
    """Apply ``transforms`` to an image once, and return copies of the result from then on.

    For the loading steps of a small dataset, and for mosaic, mixup and copy-paste, which load
    several images for each one that they return. The samples are those without the cache: a
    resumed run and one with another number of ``num_workers`` get the same. Each process keeps the
    least recently used images out of its own memory: ``num_workers`` times ``max_mb`` in all.

    Args:
        transforms: steps without random numbers, such as LoadImage, LoadAnnotations and Resize.
        max_mb: pixels and masks kept by one process, in MB.

    Raises:
        ConfigError: a step may be random, or ``max_mb`` is negative or not a number.
    """

    def __init__(self, transforms: Sequence[Mapping[str, Any]], max_mb: float = 512) -> None:
        for step in transforms:
            name = str(step["type"]).rpartition(".")[2]
            if name not in _REPEATABLE:
                raise ConfigError("CachedSteps: a step whose result may differ each time", got=name,
                                  expected=f"one of {', '.join(_REPEATABLE)}",
                                  hint=f"put {name} after CachedSteps")
        if not isinstance(max_mb, (int, float)) or not max_mb >= 0:
            raise ConfigError("CachedSteps: max_mb", got=repr(max_mb), expected="0 or more")
        self.max_mb = max_mb
        self._steps = Compose([TRANSFORMS.build(dict(step)) for step in transforms])
        self._cache: OrderedDict[tuple[Any, str], dict[str, Any] | None] = OrderedDict()
        self._bytes = 0

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Return the result of the steps for ``results['img_path']``; None if a step drops it."""
        key = results.get("img_id"), str(results["img_path"])
        if key in self._cache:
            self._cache.move_to_end(key)
            return copy.deepcopy(self._cache[key])
        output: dict[str, Any] | None = self._steps(results)
        if output is not None and "gt_bboxes" in output:
            # Read by LoadAnnotations, and slow to copy.
            output.pop("instances", None)
        self._cache[key] = copy.deepcopy(output)
        self._bytes += _num_bytes(output)
        while self._bytes > self.max_mb * 1e6:
            self._bytes -= _num_bytes(self._cache.popitem(last=False)[1])
        return output

    def __getstate__(self) -> dict[str, Any]:
        # A process that is started with a copy of this object begins with an empty cache.
        return {**self.__dict__, "_cache": OrderedDict(), "_bytes": 0}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._steps!r}, max_mb={self.max_mb:g})"


def _num_bytes(results: Mapping[str, Any] | None) -> int:
    """Size of the image and of what its annotations have: masks may be larger than it."""
    return 0 if results is None else sum(map(_size_of, results.values()))


def _size_of(value: Any) -> int:
    if isinstance(value, PolygonMasks):
        return sum(int(part.nbytes) for polygons in value.masks for part in polygons)
    if isinstance(value, BitmapMasks):
        return int(value.masks.nbytes)
    return int(getattr(getattr(value, "tensor", value), "nbytes", 0))
