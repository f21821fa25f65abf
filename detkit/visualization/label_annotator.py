"""The label of a whole picture, with its probability, in the picture's corner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detkit.structures.classifications import ClassScores
from detkit.visualization.box_annotator import RGB, class_colour, plain_name, text_colour

Image = NDArray[np.uint8]

SMALLEST_LETTERS, LARGEST_LETTERS = 0.4, 4.0  # OpenCV's font scale; 0.4 is 9 pixels high
LEGIBLE_SIDE = 256
LARGEST_ENLARGED = 2048
UNSURE_FILL: RGB = (110, 110, 110)
WHITE: RGB = (255, 255, 255)
SHADE = 0.35  # what is left of the picture below the list of classes


class ClassPainter:
    """Writes 'class 0.87' top left on the class's colour; with ``top_k`` above 1 a list below.

    The list has the top k with a bar each, as many as fit into half the picture's height.

    Args:
        classes: the names that labels index.
        top_k: how many classes are shown; 1 for the label alone.
        threshold: a label less probable than this reads 'unsure', on grey.
    """

    def __init__(self, classes: Sequence[str], top_k: int = 1, threshold: float = 0.0) -> None:
        self._names = [plain_name(name, label) for label, name in enumerate(classes)]
        self._top_k = top_k
        self._threshold = threshold

    def __call__(self, image: Image, scores: ClassScores) -> Image:
        """A copy of ``image`` with the label of ``scores`` drawn on it.

        Args:
            image: (H, W, 3) uint8 RGB; not changed.
            scores: the probabilities of the classes.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        canvas = np.array(image, order="C")
        pen = _Pen(canvas)
        name, fill = self._names[scores.label], class_colour(scores.label)
        if scores.score < self._threshold:
            name, fill = "unsure", UNSURE_FILL
        pen.label(name, f"{scores.score:.2f}", fill)
        if self._top_k > 1:
            rows = [
                (self._names[label], float(score), class_colour(int(label)))
                for label, score in zip(*scores.top(self._top_k))
            ]
            pen.bars(rows)
        return canvas


def enlarged(image: Image) -> Image:
    """``image``, when too small for letters, in whole multiples of its pixels; else itself.

    The shorter side grows to at least 256 pixels unless the longer would pass 2048.
    """
    short, long = sorted(image.shape[:2])
    times = min(-(-LEGIBLE_SIDE // short), max(1, LARGEST_ENLARGED // long))
    return image if times == 1 else image.repeat(times, axis=0).repeat(times, axis=1)


class _Pen:
    """Letters and bars in proportion to one picture, from its top left corner downwards."""

    def __init__(self, canvas: Image) -> None:
        self._canvas = canvas
        self._height, self._width = canvas.shape[:2]
        short = min(self._height, self._width)
        self._scale = min(LARGEST_LETTERS, max(SMALLEST_LETTERS, short / 800))
        self._top = 0

    def label(self, name: str, number: str, fill: RGB) -> None:
        """'name number' on a field of ``fill``."""
        import cv2

        scale = self._scale
        text = self._fit(name, number, scale, self._width)
        wide, high, pad = self._measure(text, scale)
        bottom = high + 2 * pad
        cv2.rectangle(self._canvas, (0, 0), (wide + 2 * pad - 1, bottom - 1), fill, cv2.FILLED)
        self._write(text, pad, bottom - pad, scale, text_colour(fill))
        self._top = bottom

    def bars(self, rows: Sequence[tuple[str, float, RGB]]) -> None:
        """A line for each of (name, probability, colour): both in words, a bar below."""
        import cv2

        scale = max(SMALLEST_LETTERS, 0.8 * self._scale)
        texts = [self._fit(name, f"{part:.2f}", scale, self._width) for name, part, _ in rows]
        sizes = [self._measure(text, scale) for text in texts]
        high, pad = sizes[0][1], sizes[0][2]
        thick = max(2, round(6 * scale))
        step = high + thick + 2 * pad
        wide = min(self._width, max(size[0] for size in sizes) + 2 * pad)
        shown = min(len(rows), (self._height // 2 - self._top) // step)
        if shown < 1:
            return
        field = self._canvas[self._top:self._top + shown * step, :wide]
        field[:] = (field * SHADE).astype(np.uint8)
        for text, (_, part, colour) in zip(texts[:shown], rows):
            baseline = self._top + pad + high
            self._write(text, pad, baseline, scale, WHITE)
            right = pad + max(1, round(part * (wide - 2 * pad))) - 1
            corners = (pad, baseline + pad), (right, baseline + pad + thick - 1)
            cv2.rectangle(self._canvas, *corners, colour, cv2.FILLED)
            self._top += step

    def _fit(self, name: str, number: str, scale: float, room: int) -> str:
        """'name number', the name cut off with '..' until both have room, or one letter of it."""
        cut = name
        while True:
            text = f"{cut if cut == name else cut + '..'} {number}"
            wide, _, pad = self._measure(text, scale)
            if wide + 2 * pad <= room or len(cut) <= 1:
                return text
            cut = cut[:-1]

    def _measure(self, text: str, scale: float) -> tuple[int, int, int]:
        """Width and height of the letters above their line, and the room around them."""
        import cv2

        size, _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, self._thickness(scale))
        # Letters such as g reach below the line by about this much.
        return int(size[0]), int(size[1]), max(4, round(9 * scale))

    def _write(self, text: str, left: int, baseline: int, scale: float, ink: RGB) -> None:
        import cv2

        cv2.putText(self._canvas, text, (left, baseline), cv2.FONT_HERSHEY_SIMPLEX, scale, ink,
                    self._thickness(scale), cv2.LINE_AA)

    @staticmethod
    def _thickness(scale: float) -> int:
        return max(1, round(scale * 1.4))
