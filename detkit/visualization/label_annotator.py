"""Draws the label of an image and its probability in the corner of the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detkit.structures.classifications import Classifications
from detkit.visualization.box_annotator import RGB, ascii_name, class_color, contrasting_text_color

Image = NDArray[np.uint8]

MIN_FONT_SCALE, MAX_FONT_SCALE = 0.4, 4.0  # OpenCV's font scale; 0.4 is 9 pixels high
MIN_SIDE = 256
MAX_UPSCALED_SIDE = 2048
UNSURE_COLOR: RGB = (110, 110, 110)
WHITE: RGB = (255, 255, 255)
PANEL_BRIGHTNESS = 0.35  # factor of the image behind the list of classes


class LabelAnnotator:
    """Draws 'class 0.87' at the top left in the color of the class, and optionally the top k.

    The top k are drawn with a bar each below the label, as many as fit into half of the height.

    Args:
        classes: names of the classes, by label.
        top_k: number of classes shown; 1 for the label alone.
        threshold: a label with a lower probability is drawn as 'unsure', in gray.
    """

    def __init__(self, classes: Sequence[str], top_k: int = 1, threshold: float = 0.0) -> None:
        self._names = [ascii_name(name, label) for label, name in enumerate(classes)]
        self._top_k = top_k
        self._threshold = threshold

    def __call__(self, image: Image, scores: Classifications) -> Image:
        """A copy of ``image`` with the label of ``scores`` drawn on it.

        Args:
            image: (H, W, 3) uint8 RGB; not modified.
            scores: probabilities of the classes.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        canvas = np.array(image, order="C")
        renderer = _LabelRenderer(canvas)
        name, fill = self._names[scores.label], class_color(scores.label)
        if scores.score < self._threshold:
            name, fill = "unsure", UNSURE_COLOR
        renderer.label(name, f"{scores.score:.2f}", fill)
        if self._top_k > 1:
            rows = [
                (self._names[label], float(score), class_color(int(label)))
                for label, score in zip(*scores.top(self._top_k))
            ]
            renderer.bars(rows)
        return canvas


def upscale_small(image: Image) -> Image:
    """``image`` enlarged by an integer factor if it is too small for text; else itself.

    The shorter side becomes at least 256 pixels unless the longer would exceed 2048.
    """
    short_side, long_side = sorted(image.shape[:2])
    factor = min(-(-MIN_SIDE // short_side), max(1, MAX_UPSCALED_SIDE // long_side))
    return image if factor == 1 else image.repeat(factor, axis=0).repeat(factor, axis=1)


class _LabelRenderer:
    """Draws text and bars in proportion to the image, from the top left corner downwards."""

    def __init__(self, canvas: Image) -> None:
        self._canvas = canvas
        self._height, self._width = canvas.shape[:2]
        short_side = min(self._height, self._width)
        self._scale = min(MAX_FONT_SCALE, max(MIN_FONT_SCALE, short_side / 800))
        self._top = 0

    def label(self, name: str, value: str, fill: RGB) -> None:
        """Draw 'name value' on a filled rectangle."""
        import cv2

        scale = self._scale
        text = self._truncate(name, value, scale, self._width)
        width, height, pad = self._measure(text, scale)
        bottom = height + 2 * pad
        cv2.rectangle(self._canvas, (0, 0), (width + 2 * pad - 1, bottom - 1), fill, cv2.FILLED)
        self._write(text, pad, bottom - pad, scale, contrasting_text_color(fill))
        self._top = bottom

    def bars(self, rows: Sequence[tuple[str, float, RGB]]) -> None:
        """Draw name and probability of each row (name, probability, color), with a bar below."""
        import cv2

        scale = max(MIN_FONT_SCALE, 0.8 * self._scale)
        texts = [
            self._truncate(name, f"{probability:.2f}", scale, self._width)
            for name, probability, _ in rows
        ]
        sizes = [self._measure(text, scale) for text in texts]
        height, pad = sizes[0][1], sizes[0][2]
        bar_height = max(2, round(6 * scale))
        step = height + bar_height + 2 * pad
        width = min(self._width, max(size[0] for size in sizes) + 2 * pad)
        num_rows = min(len(rows), (self._height // 2 - self._top) // step)
        if num_rows < 1:
            return
        panel = self._canvas[self._top:self._top + num_rows * step, :width]
        panel[:] = (panel * PANEL_BRIGHTNESS).astype(np.uint8)
        for text, (_, probability, color) in zip(texts[:num_rows], rows):
            baseline = self._top + pad + height
            self._write(text, pad, baseline, scale, WHITE)
            right = pad + max(1, round(probability * (width - 2 * pad))) - 1
            corners = (pad, baseline + pad), (right, baseline + pad + bar_height - 1)
            cv2.rectangle(self._canvas, *corners, color, cv2.FILLED)
            self._top += step

    def _truncate(self, name: str, value: str, scale: float, max_width: int) -> str:
        """'name value', the name shortened with '..' to fit, to one letter at least."""
        shortened = name
        while True:
            text = f"{shortened if shortened == name else shortened + '..'} {value}"
            width, _, pad = self._measure(text, scale)
            if width + 2 * pad <= max_width or len(shortened) <= 1:
                return text
            shortened = shortened[:-1]

    def _measure(self, text: str, scale: float) -> tuple[int, int, int]:
        """Width and height of the text above its baseline, and the padding."""
        import cv2

        size, _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, self._thickness(scale))
        # Descenders, as of g, are about as high as the padding.
        return int(size[0]), int(size[1]), max(4, round(9 * scale))

    def _write(self, text: str, left: int, baseline: int, scale: float, text_color: RGB) -> None:
        import cv2

        cv2.putText(self._canvas, text, (left, baseline), cv2.FONT_HERSHEY_SIMPLEX, scale,
                    text_color, self._thickness(scale), cv2.LINE_AA)

    @staticmethod
    def _thickness(scale: float) -> int:
        return max(1, round(scale * 1.4))
