"""Draws tracks on an image: boxes, labels, traces, and the counts of lines and zones."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detkit.video.analytics.line_counter import LineCounter
from detkit.video.analytics.tracked_detections import TrackedDetections
from detkit.video.analytics.zone_counter import ZoneCounter
from detkit.visualization.box_annotator import (
    RGB,
    BoxRenderer,
    ColorPair,
    Image,
    ascii_name,
    color_for_index,
    contrasting_text_color,
    writable_copy,
)

GRAY: RGB = (128, 128, 128)
UNTRACKED = ColorPair(GRAY, contrasting_text_color(GRAY))
COUNT_COLORS = ColorPair((255, 255, 255), (0, 0, 0))
TRACE_LENGTH = 30


class TrackAnnotator:
    """Draws boxes with labels such as 'car #12 0.87', traces of the box centers, and counters.

    Each track keeps its color; detections without a track are gray. Frames must come in order.

    Args:
        classes: the class names, indexed by label.
        counters: drawn with their current counts; they are not updated here.
        trace_length: number of frames of the trace; 0 for no traces.
    """

    def __init__(
        self, classes: Sequence[str], counters: Sequence[LineCounter | ZoneCounter] = (),
        trace_length: int = TRACE_LENGTH,
    ) -> None:
        self._names = [ascii_name(name, label) for label, name in enumerate(classes)]
        self._counters = tuple(counters)
        self._trace_length = trace_length
        # (frame, x, y) of the last box centers of each track.
        self._traces: dict[int, deque[tuple[int, int, int]]] = {}
        self._frame = 0
        self._renderer = BoxRenderer((1, 1))

    def __call__(self, image: Image, tracked: TrackedDetections, in_place: bool = False) -> Image:
        """Draw the tracks of a frame and the counts.

        Args:
            image: (H, W, 3) uint8 RGB.
            tracked: boxes in pixels of this image.
            in_place: draw on ``image`` itself if it is writable, which saves a copy.

        Returns:
            (H, W, 3) uint8 RGB; ``image`` itself or a copy of it.
        """
        canvas = writable_copy(image, in_place)
        self._renderer = self._renderer.for_size(canvas)
        self._frame += 1
        self._update_traces(tracked)
        detections = tracked.detections
        order = np.argsort(detections.scores, kind="stable")
        ids = tracked.ids[order].tolist()
        for counter in self._counters:
            self._draw_counter_outline(canvas, counter)
        self._draw_traces(canvas, ids)
        for counter in self._counters:
            self._draw_counts(canvas, counter)
        texts = [
            (f"{self._names[label]} #{track}" if track >= 0 else self._names[label],
             f" {score:.2f}")
            for track, label, score in zip(
                ids, detections.labels[order].tolist(), detections.scores[order].tolist())
        ]
        color_pairs = [color_for_index(track) if track >= 0 else UNTRACKED for track in ids]
        self._renderer.annotate(canvas, detections.boxes_xyxy[order], texts, color_pairs)
        return canvas

    def _update_traces(self, tracked: TrackedDetections) -> None:
        """Add the box centers of the frame, and remove those older than ``trace_length``."""
        boxes = tracked.detections.boxes_xyxy
        centers = ((boxes[:, :2] + boxes[:, 2:]) / 2).astype(int).tolist()
        for track, (x, y) in zip(tracked.ids.tolist(), centers):
            if track >= 0 and self._trace_length:
                trace = self._traces.setdefault(track, deque())
                # Otherwise the jitter of a still object would draw a scribble.
                if trace and abs(x - trace[-1][1]) + abs(
                        y - trace[-1][2]) < 2 * self._renderer.line_width:
                    x, y = trace.pop()[1:]
                trace.append((self._frame, x, y))
        oldest = self._frame - self._trace_length
        for track, trace in list(self._traces.items()):
            while trace and trace[0][0] < oldest:
                trace.popleft()
            if not trace:
                del self._traces[track]

    def _draw_traces(self, canvas: Image, ids: Sequence[int]) -> None:
        import cv2

        for track in ids:
            trace = self._traces.get(track, ())
            if len(trace) > 1:
                points = np.array([point[1:] for point in trace], np.int32)
                cv2.polylines(canvas, [points], False,
                              color_for_index(track).fill, self._renderer.line_width)

    def _draw_counter_outline(self, canvas: Image, counter: LineCounter | ZoneCounter) -> None:
        """The line or the outline of the zone, white with a black border."""
        import cv2

        if isinstance(counter, ZoneCounter):
            points, closed = counter.polygon.astype(np.int32), True
        else:
            points, closed = np.rint([counter.start, counter.end]).astype(np.int32), False
        for color, width in ((COUNT_COLORS.text_color, self._renderer.line_width + 2),
                             (COUNT_COLORS.fill, self._renderer.line_width)):
            cv2.polylines(canvas, [points], closed, color, width)

    def _draw_counts(self, canvas: Image, counter: LineCounter | ZoneCounter) -> None:
        """The counts in a zone, or 'in 3' and 'out 2' on the two sides of a line."""
        if isinstance(counter, ZoneCounter):
            text = f"{counter.current_count} inside, {counter.unique_count} total"
            self._draw_label(canvas, counter.polygon.mean(axis=0), text)
            return
        start, end = np.array(counter.start), np.array(counter.end)
        direction = (end - start) / np.hypot(*(end - start))
        left_hand = np.array([direction[1], -direction[0]])
        for side, text in ((left_hand, f"in {counter.in_count}"),
                           (-left_hand, f"out {counter.out_count}")):
            width, height = self._renderer.label_width((text,)), self._renderer.label_height
            # Half the extent of the label across the line, plus a margin.
            offset = abs(side[0]) * width / 2 + abs(
                side[1]) * height / 2 + 2 * self._renderer.line_width
            self._draw_label(canvas, (start + end) / 2 + offset * side, text)

    def _draw_label(self, canvas: Image, center: NDArray[np.float64], text: str) -> None:
        left = round(center[0] - self._renderer.label_width((text,)) / 2)
        bottom = round(center[1] + self._renderer.label_height / 2)
        self._renderer.draw_label(canvas, left, bottom, (text,), COUNT_COLORS)
