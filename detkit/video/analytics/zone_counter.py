"""How many tracks are in a zone of the picture, and how many have been."""

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
    """Counts the tracks inside a polygon: those there now, and each that ever was, once.

    A track is inside when the middle of its box's lower side is, where things stand on the
    ground; in a picture from straight above choose the center. The border is inside.

    supervision's own PolygonZone is not used: it fails for a zone left of or above the picture,
    and makes a mask as large as the farthest corner is away, be it by a slip of the keyboard.

    Args:
        polygon: corners (x, y) in pixels of the frames, three or more; may reach beyond them.
        anchor: 'bottom' or 'center', the point of a box that is inside or not.

    Attributes:
        polygon: (M, 2) int32.
        current_count: so many are inside in the last frame.
        unique_count_per_class: label, when first inside, to how many have been.

    Raises:
        VideoError: the polygon has no area, or a corner is too far away.
    """

    def __init__(self, polygon: Sequence[tuple[float, float]], anchor: Anchor = "bottom") -> None:
        corners = np.asarray(polygon, np.float64)
        is_valid = corners.ndim == 2 and corners.shape[1] == 2 and (np.abs(corners)
                                                                    < MAX_COORDINATE).all()
        if not is_valid or _area(corners) < 1:
            raise VideoError("the zone to count in", got=[tuple(corner) for corner in polygon],
                             expected="three or more corners around some area",
                             hint="name other corners")
        self.polygon: NDArray[np.int32] = np.rint(corners).astype(np.int32)
        self._anchor = anchor
        self.current_count = 0
        self.unique_count_per_class: Counter[int] = Counter()
        self._last_seen: dict[int, int] = {}
        self._frame = 0

    @property
    def unique_count(self) -> int:
        """So many tracks have been inside, each counted once however often it came."""
        return self.unique_count_per_class.total()

    def __call__(self, tracked: TrackedDetections) -> NDArray[np.bool_]:
        """Which of the frame's tracks are inside; call it for each frame, in order.

        Args:
            tracked: the tracks of the frame; those without an id are not inside.

        Returns:
            (N,) bool.
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
            if is_inside and track not in self._last_seen:
                self.unique_count_per_class[label] += 1
            if is_inside or track in self._last_seen:
                self._last_seen[track] = self._frame
        if self._frame % LOST_TRACK_FRAMES == 0:
            self._last_seen = {track: last_frame for track, last_frame in self._last_seen.items()
                               if self._frame - last_frame < LOST_TRACK_FRAMES}
        return inside


def _area(corners: NDArray[np.float64]) -> float:
    """Of a polygon (M, 2), in square pixels."""
    x, y = corners.T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)
