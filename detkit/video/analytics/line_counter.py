"""How many tracks cross a line, and which way."""

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
LOST_TRACK_FRAMES = 300  # a track that was not seen for so long has ended


@dataclass(frozen=True)
class Crossing:
    """A track went over the line.

    Args:
        id: the track.
        label: its class in the frame in which it was over.
        entering: whether it counts as in.
    """

    id: int
    label: int
    entering: bool


@dataclass
class _TrackState:
    """Where a track comes from: its side (0 before it was clear of the line), its last point."""

    side: int
    point: tuple[float, float]
    distance: float
    over_line: bool
    last_frame: int


class LineCounter:
    """Counts the tracks that cross a line: in to the left hand of who walks it, out to the right.

    So over a line that is drawn from left to right, upwards is in and downwards is out, as
    supervision's LineZone counts. A track has crossed when a point of its box went from one side
    to the other between the line's ends and is clear of it by a tenth of the box's shorter side:
    one that trembles on the line is counted once, when it leaves it, or not at all if it goes
    back. A track that was not seen for some frames has gone straight in them.

    supervision's own LineZone is not used: it misses a track that is hidden for two frames while
    it crosses and a box wider than the line, counts one that walks around the line's end, and
    counts a box's point at every trembling.

    Args:
        start: (x, y), one end, in pixels of the frames.
        end: (x, y), the other end.
        anchor: the point of a box that crosses, its center or the middle of its lower side.

    Attributes:
        start: as given.
        end: as given.
        in_count_per_class: label to how many went in.
        out_count_per_class: label to how many went out.

    Raises:
        VideoError: both ends are one point, or one is too far away.
    """

    def __init__(
        self, start: tuple[float, float], end: tuple[float, float], anchor: Anchor = "center"
    ) -> None:
        in_range = (np.abs([*start, *end]) < MAX_COORDINATE).all()
        if not in_range or tuple(start) == tuple(end):
            raise VideoError("the line to count at", got=f"{start} to {end}",
                             expected="x1,y1,x2,y2 of two points", hint="name another line")
        self.start, self.end = start, end
        self.in_count_per_class: Counter[int] = Counter()
        self.out_count_per_class: Counter[int] = Counter()
        self._anchor = anchor
        self._track_states: dict[int, _TrackState] = {}
        self._frame = 0

    @property
    def in_count(self) -> int:
        """So many went in."""
        return self.in_count_per_class.total()

    @property
    def out_count(self) -> int:
        """So many went out."""
        return self.out_count_per_class.total()

    def __call__(self, tracked: TrackedDetections) -> list[Crossing]:
        """Who crossed with this frame; call it for each frame, in order.

        Args:
            tracked: the tracks of the frame; those without an id are not looked at.

        Returns:
            The crossings, counted by now; most often none.
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
        """Move a track on to ``point``; whether it has crossed with that."""
        side = 0 if abs(distance) <= band else 1 if distance > 0 else -1
        state = self._track_states.get(track)
        if state is None:
            self._track_states[track] = _TrackState(side, point, distance, False, self._frame)
            return False
        previous = state.distance
        if (previous > 0) != (distance > 0):
            # Where on the line, from 0 at its start to 1 at its end, the way from there to here
            # meets it.
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
        """How far (N,) points (N, 2) are from the line prolonged, in pixels; left hand above 0."""
        x, y = np.subtract(self.end, self.start)
        offsets = points - np.asarray(self.start, np.float64)
        # y points downwards in pictures, so the left hand's side is the one of the minus.
        distances: NDArray[np.float64] = (offsets[:, 0] * y - offsets[:, 1] * x) / np.hypot(x, y)
        return distances


def anchor_points(boxes_xyxy: NDArray[np.float64], anchor: Anchor) -> NDArray[np.float64]:
    """The points (N, 2) of boxes (N, 4) that say where they are; pixels."""
    points = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    if anchor == "bottom":
        points[:, 1] = boxes_xyxy[:, 3]
    return points
