"""Counts the tracks inside a polygon of the image, now and in total."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detkit.errors import VideoError
from detkit.video.analytics.line_counter import (
    LOST_TRACK_FRAMES,
    MAX_COORDINATE,
    Anchor,
    anchor_points,
)
from detkit.video.analytics.tracked_detections import TrackedDetections


class ZoneCounter:
    """Counts the tracks inside a polygon: those in the current frame, and all unique tracks.

    A track is inside if the anchor point of its box is: by default the middle of the lower side,
    where objects touch the ground. For a top view, choose the center. The border is inside.

    supervision's PolygonZone is not used: it fails for a zone left of or above the image, and
    allocates a mask that reaches to the farthest corner, even if that is a typing error.

    Args:
        polygon: three or more corners (x, y), in pixels of the frames; may be outside them.
        anchor: 'bottom' or 'center', the point of a box that is tested.

    Attributes:
        polygon: (M, 2) int32.
        current_count: number of tracks inside in the last frame.
        unique_count_per_class: number of unique tracks, by their label when first inside.

    Raises:
        VideoError: the polygon has no area, or a coordinate is 100,000 pixels or more.
    """

    def __init__(self, polygon: Sequence[tuple[float, float]], anchor: Anchor = "bottom") -> None:
        corners = np.asarray(polygon, np.float64)
        is_valid = (
            corners.ndim == 2 and corners.shape[1] == 2 and (np.abs(corners) < MAX_COORDINATE).all()
        )
        if not is_valid or _area(corners) < 1:
            raise VideoError("invalid zone", got=[tuple(corner) for corner in polygon],
                             expected="three or more corners within 100,000 pixels that enclose "
                             "an area")
        self.polygon: NDArray[np.int32] = np.rint(corners).astype(np.int32)
        self._anchor = anchor
        self.current_count = 0
        self.unique_count_per_class: Counter[int] = Counter()
        self._last_frames: dict[int, int] = {}
        self._frame = 0

    @property
    def unique_count(self) -> int:
        """Number of unique tracks that have been inside."""
        return self.unique_count_per_class.total()

    def __call__(self, tracked: TrackedDetections) -> NDArray[np.bool_]:
        """Update the counts with a frame; call it for each frame, in order.

        Args:
            tracked: the tracks of the frame; those without an id are ignored.

        Returns:
            (N,) bool, whether each track is inside.
        """
        import cv2

        self._frame += 1
        points = anchor_points(tracked.detections.boxes_xyxy.astype(np.float64), self._anchor)
        inside: NDArray[np.bool_] = np.array(
            [track >= 0 and cv2.pointPolygonTest(self.polygon, point, False) >= 0
             for track, point in zip(tracked.ids.tolist(), points.tolist())], np.bool_)
        self.current_count = int(inside.sum())
        for track, label, is_inside in zip(
            tracked.ids.tolist(), tracked.detections.labels.tolist(), inside.tolist()
        ):
            if is_inside and track not in self._last_frames:
                self.unique_count_per_class[label] += 1
            if is_inside or track in self._last_frames:
                self._last_frames[track] = self._frame
        if self._frame % LOST_TRACK_FRAMES == 0:
            self._last_frames = {track: last for track, last in self._last_frames.items()
                                 if self._frame - last < LOST_TRACK_FRAMES}
        return inside


def _area(corners: NDArray[np.float64]) -> float:
    """The area of a polygon (M, 2), in square pixels."""
    x, y = corners.T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)
