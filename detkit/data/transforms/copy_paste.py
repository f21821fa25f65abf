"""mmdet's copy-paste of objects with masks, with errors that say what is wrong."""

from __future__ import annotations

from typing import Any

from mmdet.datasets import transforms as mmdet_transforms
from mmdet.structures.bbox import autocast_box_type

from detkit.data.transforms.select_boxes import remove_thin_boxes
from detkit.errors import ConfigError
from detkit.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CopyPaste(mmdet_transforms.CopyPaste):  # type: ignore[misc]
    """mmdet's `CopyPaste`, whose images keep their type and whose covered boxes are removed.

    mmdet's gives int64 images, keeps the box (0, 0, 0, 0) of a covered object that was within
    ``bbox_occluded_thr`` pixels of the image's corner, and fails for ``paste_by_box`` with
    ``selected=False``. For data without masks use CopyPasteBoxes.

    Raises:
        ConfigError: the images have no masks, or the two differ in size.
    """

    @autocast_box_type()  # type: ignore[untyped-decorator]
    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Paste objects of ``results['mix_results'][0]`` into ``results``."""
        if "mix_results" not in results:
            raise ConfigError("CopyPaste has no second image",
                              hint="put it into the pipeline of a MultiImageMixDataset")
        source = results["mix_results"][0]
        if not self.paste_by_box and not ("gt_masks" in results and "gt_masks" in source):
            raise ConfigError("CopyPaste: the images have no masks",
                              hint="use CopyPasteBoxes, or load masks: with_mask=True")
        if results["img"].shape != source["img"].shape:
            raise ConfigError("CopyPaste: the two images differ in size",
                              got=f"{source['img'].shape} and {results['img'].shape}",
                              hint="resize, crop and pad both to one size before it")
        if not self.selected:
            source["gt_masks"] = self.get_gt_masks(source)
        dtype = results["img"].dtype
        pasted: dict[str, Any] = super().transform(results)
        pasted["img"] = pasted["img"].astype(dtype, copy=False)
        remove_thin_boxes(pasted)
        return pasted
