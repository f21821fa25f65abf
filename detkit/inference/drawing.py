"""Boxes and labels on a picture; the one place where ``predict`` and ``video`` draw."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import MissingExtraError
from detkit.structures.detections import Detections

RGB = tuple[int, int, int]
GOLDEN_RATIO = 0.6180339887498949


def class_colour(label: int) -> RGB:
    """The colour of a class, the same in every picture and every run; RGB, 0..255.

    Hues step by the golden ratio, so that neighbouring labels lie far apart however many there
    are, and lightness alternates in threes.
    """
    hue = (0.02 + label * GOLDEN_RATIO) % 1.0
    lightness = (0.50, 0.62, 0.40)[label % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


def text_colour(background: RGB) -> RGB:
    """Black or white, whichever stands out more from ``background``.

    Source: WCAG 2.1, relative luminance and contrast ratio.
    """
    red, green, blue = (_linear(part / 255) for part in background)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    # Where black and white contrast equally: (L + 0.05)^2 = 1.05 * 0.05.
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


class BoxPainter:
    """Draws what a detector found: a box and 'class 0.87' for each, in the class's colour.

    Args:
        classes: the names that labels index.

    Raises:
        MissingExtraError: supervision is not installed.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        try:
            import supervision
        except ImportError as error:
            raise MissingExtraError("supervision", "video") from error
        self._supervision: Any = supervision
        # Accents are dropped rather than drawn as '??'.
        self._names = [plain_name(name, label) for label, name in enumerate(classes)]
        colours = [class_colour(label) for label in range(max(1, len(classes)))]
        self._fill = self._palette(colours)
        self._ink = self._palette([text_colour(colour) for colour in colours])
        self._annotators: dict[tuple[int, int], tuple[Any, Any, float, int]] = {}

    def __call__(self, image: NDArray[np.uint8], found: Detections) -> NDArray[np.uint8]:
        """A copy of ``image`` with ``found`` drawn on it, the highest score on top.

        Args:
            image: (H, W, 3) uint8 RGB; not changed.
            found: detections in pixels of this image; none gives a plain copy.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        canvas = np.array(image, order="C")
        if not len(found):
            return canvas
        boxes, labels, scale, padding = self._annotators_for((canvas.shape[0], canvas.shape[1]))
        rising = found.select(np.argsort(found.scores, kind="stable"))
        texts = [
            f"{self._names[label]} {score:.2f}"
            for label, score in zip(rising.labels, rising.scores)
        ]
        boxes.annotate(canvas, rising.to_supervision())
        anchors = rising.to_supervision()
        anchors.xyxy = self._keep_texts_inside(rising, texts, scale, padding)
        labels.annotate(canvas, anchors, labels=texts)
        return canvas

    def _palette(self, colours: Sequence[RGB]) -> Any:
        # supervision paints BGR pictures; ours are RGB, so red and blue change places.
        color = self._supervision.Color
        swapped = [color(r=blue, g=green, b=red) for red, green, blue in colours]
        return self._supervision.ColorPalette(colors=swapped)

    def _annotators_for(self, size_hw: tuple[int, int]) -> tuple[Any, Any, float, int]:
        """Line and letters in proportion to the picture, with a floor to stay legible."""
        if size_hw not in self._annotators:
            short = min(size_hw)
            line = max(1, round(short / 250))
            scale = min(2.0, max(0.4, short / 1000))
            padding = max(2, round(6 * scale))
            self._annotators = {
                size_hw: (
                    self._supervision.BoxAnnotator(color=self._fill, thickness=line),
                    self._supervision.LabelAnnotator(
                        color=self._fill,
                        text_color=self._ink,
                        text_scale=scale,
                        text_thickness=max(1, round(scale * 1.4)),
                        text_padding=padding,
                    ),
                    scale,
                    padding,
                )
            }
        return self._annotators[size_hw]

    @staticmethod
    def _keep_texts_inside(
        found: Detections, texts: Sequence[str], scale: float, padding: int
    ) -> NDArray[np.float32]:
        """Boxes (N, 4) to hang the texts on, moved so that no text leaves the picture."""
        import cv2

        height, width = found.size_hw
        anchors = np.array(found.boxes_xyxy)
        for anchor, text in zip(anchors, texts):
            thickness = max(1, round(scale * 1.4))
            (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
            anchor[1] = min(max(anchor[1], high + 2 * padding), height)
            anchor[0] = max(0, min(anchor[0], width - wide - 2 * padding))
            anchor[2:] = np.maximum(anchor[2:], anchor[:2])
        return anchors


def plain_name(name: str, label: int) -> str:
    """``name`` in ASCII, which OpenCV's letters are; 'class 7' when nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip()
    return plain or f"class {label}"
