"""Draws bounding boxes and labels, for ``predict`` and ``video``."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.structures.detections import Detections

Image = NDArray[np.uint8]
RGB = tuple[int, int, int]
GOLDEN_RATIO = 0.6180339887498949
MAX_CACHED_TILES = 512  # about 3 MB at 1280x720


class ColorPair(NamedTuple):
    """Colors of a box and of the text on it; RGB, 0..255."""

    fill: RGB
    text_color: RGB


def class_color(label: int) -> RGB:
    """The color of a class; RGB, 0..255.

    Hues step by the golden ratio, which separates the colors of successive labels for any number
    of classes; lightness alternates between three values.
    """
    hue = (0.02 + label * GOLDEN_RATIO) % 1.0
    lightness = (0.50, 0.62, 0.40)[label % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


def contrasting_text_color(background: RGB) -> RGB:
    """Black or white, whichever has more contrast to ``background``.

    Source: WCAG 2.1, relative luminance and contrast ratio.
    """
    red, green, blue = (_linear(channel / 255) for channel in background)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    # Where black and white contrast equally: (L + 0.05)^2 = 1.05 * 0.05.
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


@lru_cache(maxsize=1024)
def color_for_index(index: int) -> ColorPair:
    """The colors of a class or a track."""
    fill = class_color(index)
    return ColorPair(fill, contrasting_text_color(fill))


class BoxAnnotator:
    """Draws a box and the text 'class 0.87' for each detection, in the color of the class.

    Args:
        classes: names of the classes, by label.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        # OpenCV would draw accented letters as '??'.
        self._names = [ascii_name(name, label) for label, name in enumerate(classes)]
        self._renderer = BoxRenderer((1, 1))

    def __call__(self, image: Image, detections: Detections, in_place: bool = False) -> Image:
        """``image`` with ``detections`` drawn on it, the highest score on top.

        Args:
            image: (H, W, 3) uint8 RGB.
            detections: detections in pixels of this image.
            in_place: draw on ``image`` itself, without a copy, if it is writable.

        Returns:
            (H, W, 3) uint8 RGB; ``image`` itself or a copy of it.
        """
        canvas = writable_copy(image, in_place)
        if not len(detections):
            return canvas
        self._renderer = self._renderer.for_size(canvas)
        order = np.argsort(detections.scores, kind="stable")
        labels = detections.labels[order].tolist()
        self._renderer.annotate(
            canvas,
            detections.boxes_xyxy[order],
            [(self._names[label], f" {score:.2f}")
             for label, score in zip(labels, detections.scores[order].tolist())],
            [color_for_index(label) for label in labels],
        )
        return canvas


class BoxRenderer:
    """Draws boxes and labels with sizes in proportion to the image.

    Rendering text takes most of the time, and labels repeat from frame to frame; so rendered
    pieces of text are cached as tiles.

    Args:
        size_hw: height and width of the images in pixels.

    Attributes:
        line_width: line width of a box in pixels.
        label_height: height of a label in pixels.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        import cv2

        short_side = min(size_hw)
        self._size_hw = size_hw
        self._scale = min(2.0, max(0.4, short_side / 1000))
        self._thickness = max(1, round(self._scale * 1.4))
        self._padding = max(2, round(6 * self._scale))
        (_, ascent), descent = cv2.getTextSize(
            "0", cv2.FONT_HERSHEY_SIMPLEX, self._scale, self._thickness)
        self._baseline = self._padding + ascent
        self._tile = lru_cache(maxsize=MAX_CACHED_TILES)(self._render)
        self.line_width = max(1, round(short_side / 250))
        # Room for descenders, as of g and y.
        self.label_height = self._baseline + max(self._padding, descent)

    def for_size(self, canvas: Image) -> BoxRenderer:
        """This renderer, or a new one if the canvas has another size."""
        size_hw = canvas.shape[0], canvas.shape[1]
        return self if size_hw == self._size_hw else BoxRenderer(size_hw)

    def annotate(
        self, canvas: Image, boxes_xyxy: NDArray[np.float32],
        texts: Sequence[tuple[str, ...]], colors: Sequence[ColorPair],
    ) -> None:
        """Draw N boxes, then their labels; the last is on top.

        Args:
            canvas: (H, W, 3) uint8 in C order, modified in place.
            boxes_xyxy: (N, 4) pixels; clipped to the image.
            texts: N labels, each a sequence of pieces drawn without a gap.
            colors: N color pairs.
        """
        import cv2

        height, width = self._size_hw
        clip_bounds = (width - 1, height - 1, width - 1, height - 1)
        corners = np.clip(boxes_xyxy, 0, clip_bounds).astype(int).tolist()
        for (left, top, right, bottom), color_pair in zip(corners, colors):
            cv2.rectangle(canvas, (left, top), (right, bottom), color_pair.fill, self.line_width)
        for (left, top, _, _), text, color_pair in zip(corners, texts, colors):
            self.draw_label(canvas, left, top, text, color_pair)

    def draw_label(
        self, canvas: Image, left: int, bottom: int, text: tuple[str, ...], color_pair: ColorPair
    ) -> None:
        """Draw a filled label with this bottom left corner, moved to be inside the image."""
        tiles = [self._tile(piece, color_pair, index == 0, index == len(text) - 1)
                 for index, piece in enumerate(text)]
        height, width = self._size_hw
        left = max(0, min(left, width - sum(tile.shape[1] for tile in tiles)))
        top = max(0, min(bottom, height) - self.label_height)
        for tile in tiles:
            region = canvas[top:top + self.label_height, left:left + tile.shape[1]]
            region[:] = tile[:region.shape[0], :region.shape[1]]
            left += tile.shape[1]

    def label_width(self, text: tuple[str, ...]) -> int:
        """The width of the label of ``text`` in pixels."""
        return sum(map(self._advance, text)) + 2 * self._padding

    def _advance(self, piece: str) -> int:
        import cv2

        (text_width, _), _ = cv2.getTextSize(
            piece, cv2.FONT_HERSHEY_SIMPLEX, self._scale, self._thickness)
        return int(text_width)

    def _render(self, piece: str, color_pair: ColorPair, first: bool, last: bool) -> Image:
        """A piece of a label, (label_height, W, 3) uint8, padded at its outer ends."""
        import cv2

        pad_left, pad_right = self._padding * first, self._padding * last
        tile: Image = np.empty((self.label_height, pad_left + self._advance(piece) + pad_right, 3),
                               np.uint8)
        tile[:] = color_pair.fill
        cv2.putText(tile, piece, (pad_left, self._baseline),
                    cv2.FONT_HERSHEY_SIMPLEX, self._scale, color_pair.text_color, self._thickness,
                    cv2.LINE_AA)
        return tile


def writable_copy(image: Image, in_place: bool) -> Image:
    """``image`` itself if ``in_place`` and it is writable in C order; else a copy."""
    if in_place and image.flags.writeable and image.flags.c_contiguous:
        return image
    return np.array(image, order="C")


def ascii_name(name: str, label: int) -> str:
    """``name`` transliterated to ASCII, all OpenCV can draw; 'class 7' if nothing remains."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip()
    return plain or f"class {label}"
