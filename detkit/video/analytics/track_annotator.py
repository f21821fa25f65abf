"""Tracks on a picture: boxes, labels, where each came from, and what was counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detkit.video.analytics.line_counter import LineCounter
from detkit.video.analytics.tracked_detections import Tracked
from detkit.video.analytics.zone_counter import ZoneCounter
from detkit.visualization.box_annotator import (
    RGB,
    BoxPen,
    Image,
    Paint,
    drawable,
    paint_of,
    plain_name,
    text_colour,
)

GREY: RGB = (128, 128, 128)
UNTRACKED = Paint(GREY, text_colour(GREY))
COUNTS = Paint((255, 255, 255), (0, 0, 0))
TRACE_FRAMES = 30


class TrackPainter:
    """Draws boxes with 'car #12 0.87', the way of each box's centre, and lines and zones.

    A track keeps its colour; what has none yet is grey. Give it the frames in order, as it
    remembers where the tracks were.

    Args:
        classes: the names that labels index.
        counters: drawn with what they have counted by now, each frame; not called here.
        trace_frames: a track's way over so many frames is shown; none at 0.
    """

    def __init__(
        self, classes: Sequence[str], counters: Sequence[LineCounter | ZoneCounter] = (),
        trace_frames: int = TRACE_FRAMES,
    ) -> None:
        self._names = [plain_name(name, label) for label, name in enumerate(classes)]
        self._counters = tuple(counters)
        self._trace_frames = trace_frames
        # For each track the (frame, x, y) of the places where it was.
        self._ways: dict[int, deque[tuple[int, int, int]]] = {}
        self._frame = 0
        self._pen = BoxPen((1, 1))

    def __call__(self, image: Image, tracked: Tracked, in_place: bool = False) -> Image:
        """``image`` with the tracks of its frame and the counts drawn on it.

        Args:
            image: (H, W, 3) uint8 RGB.
            tracked: in pixels of this image.
            in_place: draw on ``image`` itself, which saves the copy, if it can be written to.

        Returns:
            (H, W, 3) uint8 RGB; ``image`` itself or a copy of it.
        """
        canvas = drawable(image, in_place)
        self._pen = self._pen.fitting(canvas)
        self._frame += 1
        self._remember(tracked)
        found = tracked.detections
        order = np.argsort(found.scores, kind="stable")
        ids = tracked.ids[order].tolist()
        for counter in self._counters:
            self._draw_border(canvas, counter)
        self._draw_ways(canvas, ids)
        for counter in self._counters:
            self._write_counts(canvas, counter)
        texts = [
            (f"{self._names[label]} #{track}" if track >= 0 else self._names[label],
             f" {score:.2f}")
            for track, label, score in zip(
                ids, found.labels[order].tolist(), found.scores[order].tolist())
        ]
        paints = [paint_of(track) if track >= 0 else UNTRACKED for track in ids]
        self._pen.mark(canvas, found.boxes_xyxy[order], texts, paints)
        return canvas

    def _remember(self, tracked: Tracked) -> None:
        """Add the frame's places, and forget those of ``trace_frames`` ago."""
        boxes = tracked.detections.boxes_xyxy
        centres = ((boxes[:, :2] + boxes[:, 2:]) / 2).astype(int).tolist()
        for track, (x, y) in zip(tracked.ids.tolist(), centres):
            if track >= 0 and self._trace_frames:
                way = self._ways.setdefault(track, deque())
                # What stands still and trembles would otherwise scribble.
                if way and abs(x - way[-1][1]) + abs(y - way[-1][2]) < 2 * self._pen.line:
                    x, y = way.pop()[1:]
                way.append((self._frame, x, y))
        oldest = self._frame - self._trace_frames
        for track, way in list(self._ways.items()):
            while way and way[0][0] < oldest:
                way.popleft()
            if not way:
                del self._ways[track]

    def _draw_ways(self, canvas: Image, ids: Sequence[int]) -> None:
        import cv2

        for track in ids:
            way = self._ways.get(track, ())
            if len(way) > 1:
                points = np.array([place[1:] for place in way], np.int32)
                cv2.polylines(canvas, [points], False, paint_of(track).fill, self._pen.line)

    def _draw_border(self, canvas: Image, counter: LineCounter | ZoneCounter) -> None:
        """The line, or the zone's outline, in white on black, which any picture lets stand out."""
        import cv2

        if isinstance(counter, ZoneCounter):
            points, closed = counter.polygon.astype(np.int32), True
        else:
            points, closed = np.rint([counter.start, counter.end]).astype(np.int32), False
        for colour, width in ((COUNTS.ink, self._pen.line + 2), (COUNTS.fill, self._pen.line)):
            cv2.polylines(canvas, [points], closed, colour, width)

    def _write_counts(self, canvas: Image, counter: LineCounter | ZoneCounter) -> None:
        """In a zone who is inside; by a line 'in 3' on the side in, 'out 2' on the other."""
        if isinstance(counter, ZoneCounter):
            text = f"{counter.inside_count} inside, {counter.visitor_count} in all"
            self._write(canvas, counter.polygon.mean(axis=0), text)
            return
        start, end = np.array(counter.start), np.array(counter.end)
        along = (end - start) / np.hypot(*(end - start))
        left_hand = np.array([along[1], -along[0]])
        for side, text in ((left_hand, f"in {counter.in_count}"),
                           (-left_hand, f"out {counter.out_count}")):
            wide, high = self._pen.label_width((text,)), self._pen.label_height
            # As far off as the label reaches towards the line, and a bit.
            off = abs(side[0]) * wide / 2 + abs(side[1]) * high / 2 + 2 * self._pen.line
            self._write(canvas, (start + end) / 2 + off * side, text)

    def _write(self, canvas: Image, middle: NDArray[np.float64], text: str) -> None:
        left = round(middle[0] - self._pen.label_width((text,)) / 2)
        bottom = round(middle[1] + self._pen.label_height / 2)
        self._pen.label(canvas, left, bottom, (text,), COUNTS)
