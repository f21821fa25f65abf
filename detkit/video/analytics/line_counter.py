"""Counts the tracks that cross a line, in each direction."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detkit.errors import VideoError
from detkit.video.analytics.tracked_detections import TrackedDetections

Anchor = Literal["center", "bottom"]
DEAD_BAND = 0.1
MAX_COORDINATE = 1e5  # pixels; OpenCV draws in 32 bits
LOST_TRACK_FRAMES = 300  # a track without a detection for this long is forgotten


@dataclass(frozen=True)
class Crossing:
    """A track has crossed the line.

    Args:
        id: the track id.
        label: its class in the frame of the crossing.
        entering: whether it counts as in; else as out.
    """

    id: int
    label: int
    entering: bool


@dataclass
class _TrackState:
    """The last side of a track (0 until it is outside the dead band), and its last point."""

    side: int
    point: tuple[float, float]
    distance: float
    over_line: bool
    last_frame: int


class LineCounter:
    """Counts the tracks that cross a line: to the left of its direction is in, to the right out.

    For a line from left to right, upwards is in and downwards is out, as in supervision's
    LineZone. A track has crossed when the anchor point of its box has moved from one side to the
    other between the end points of the line, and is outside a dead band of a tenth of the box's
    shorter side. A track that jitters on the line is counted once, when it leaves the dead band on
    the other side. Between frames, also after missing frames, a track moves in a straight line.

    supervision's LineZone is not used: it misses a track that is hidden for two frames while it
    crosses and a box wider than the line, counts tracks that pass beyond the end of the line, and
    counts an anchor point at each jitter.

    Args:
        start: (x, y) of one end point, in pixels of the frames.
        end: (x, y) of the other end point.
        anchor: the point of a box that crosses: its center, or the middle of its lower side.

    Attributes:
        start: as given.
        end: as given.
        in_count_per_class: number of tracks that went in, by label.
        out_count_per_class: number of tracks that went out, by label.

    Raises:
        VideoError: the end points are equal, or a coordinate is 100,000 pixels or more.
    """

    def __init__(
        self, start: tuple[float, float], end: tuple[float, float], anchor: Anchor = "center"
    ) -> None:
        in_range = (np.abs([*start, *end]) < MAX_COORDINATE).all()
        if not in_range or tuple(start) == tuple(end):
            raise VideoError("invalid count line", got=f"{start} to {end}",
                             expected="two different points within 100,000 pixels")
        self.start, self.end = start, end
        self.in_count_per_class: Counter[int] = Counter()
        self.out_count_per_class: Counter[int] = Counter()
        self._anchor = anchor
        self._track_states: dict[int, _TrackState] = {}
        self._frame = 0

    @property
    def in_count(self) -> int:
        """Number of tracks that went in."""
        return self.in_count_per_class.total()

    @property
    def out_count(self) -> int:
        """Number of tracks that went out."""
        return self.out_count_per_class.total()

    def __call__(self, tracked: TrackedDetections) -> list[Crossing]:
        """Update the counts with a frame; call it for each frame, in order.

        Args:
            tracked: the tracks of the frame; those without an id are ignored.

        Returns:
            The crossings in this frame; may be empty.
        """
        self._frame += 1
        rows = np.flatnonzero(tracked.ids >= 0)
        boxes = tracked.detections.boxes_xyxy[rows].astype(np.float64)
        points = anchor_points(boxes, self._anchor)
        distances = self._distances(points)
        bands = DEAD_BAND * (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf)
        crossings = []
        for track, label, point, distance, band in zip(
            tracked.ids[rows].tolist(), tracked.detections.labels[rows].tolist(),
            points.tolist(), distances.tolist(), bands.tolist(),
        ):
            if self._step(track, (point[0], point[1]), distance, band):
                entering = distance > 0
                (self.in_count_per_class if entering else self.out_count_per_class)[label] += 1
                crossings.append(Crossing(track, label, entering))
        if self._frame % LOST_TRACK_FRAMES == 0:
            self._track_states = {
                track: state
                for track, state in self._track_states.items()
                if self._frame - state.last_frame < LOST_TRACK_FRAMES
            }
        return crossings

    def _step(
        self, track: int, point: tuple[float, float], distance: float, band: float
    ) -> bool:
        """Update a track with its new ``point``; returns whether it has crossed."""
        side = 0 if abs(distance) <= band else 1 if distance > 0 else -1
        state = self._track_states.get(track)
        if state is None:
            self._track_states[track] = _TrackState(side, point, distance, False, self._frame)
            return False
        previous = state.distance
        if (previous > 0) != (distance > 0):
            # The intersection of the path with the line, from 0 at its start to 1 at its end.
            ratio = previous / (previous - distance)
            intersection = np.add(state.point, ratio * np.subtract(point, state.point))
            direction = np.subtract(self.end, self.start)
            position = np.dot(intersection - self.start, direction) / np.dot(direction, direction)
            state.over_line = bool(0 <= position <= 1)
        state.point, state.distance, state.last_frame = point, distance, self._frame
        crossed = side == -state.side != 0 and state.over_line
        if side:
            state.side = side
        return crossed

    def _distances(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signed distances (N,) of points (N, 2) from the infinite line, in pixels; left > 0."""
        x, y = np.subtract(self.end, self.start)
        offsets = points - np.asarray(self.start, np.float64)
        # The y axis of images points down, hence the sign.
        distances: NDArray[np.float64] = (offsets[:, 0] * y - offsets[:, 1] * x) / np.hypot(x, y)
        return distances


def anchor_points(boxes_xyxy: NDArray[np.float64], anchor: Anchor) -> NDArray[np.float64]:
    """Anchor points (N, 2) of xyxy boxes (N, 4), in pixels."""
    points = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    if anchor == "bottom":
        points[:, 1] = boxes_xyxy[:, 3]
    return points
