"""Which detections of one frame are those of the frames before: ByteTrack."""

from __future__ import annotations

import math

import numpy as np

from detkit.errors import MissingExtraError
from detkit.structures.detections import Detections
from detkit.video.analytics.tracked_detections import Tracked

LOWEST_SCORE = 0.1  # of a box that may go on with a track; as in ByteTrack's paper
SECONDS_KEPT = 1.0  # a track lives on for so long when nothing is found of it


class Tracker:
    """Gives the detections of a video's frames the ids of their tracks, 1, 2, 3, ...

    A box that scores ``threshold`` or more begins a track, which has its id from its second
    frame in a row on. Boxes below go on with tracks that no better box goes on with (something
    half hidden scores low) and are dropped where there is none; so hand in what scores
    ``lowest_score`` or more, and show what comes back. Handing in only what scores ``threshold``
    or more works, too, and loses what is half hidden sooner.

    Boxes are matched by where a track should be by now, whatever their class: a label that
    flickers between 'car' and 'truck' is one track. A track of which nothing is found for a
    second ends; what comes later is another.

    Args:
        rate: frames per second of the video, those left out included.
        threshold: the lowest score that begins a track.

    Attributes:
        lowest_score: boxes that score less are not looked at.

    Raises:
        MissingExtraError: the library trackers is not installed.
        ValueError: the rate is not above 0, or the threshold not from 0 to 1.

    Source: ByteTrack (arXiv 2110.06864), as in the library trackers.
    """

    def __init__(self, rate: float, threshold: float) -> None:
        if not (math.isfinite(rate) and rate > 0):
            raise ValueError(f"rate: got {rate}, expected frames per second, above 0")
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold: got {threshold}, expected a number from 0 to 1")
        try:
            import supervision
            from trackers import ByteTrackTracker
        except ImportError as error:
            library = error.name if error.name in ("supervision", "trackers") else "trackers"
            raise MissingExtraError(library, "video") from error
        self._detections = supervision.Detections
        # Scores are compared in float32 here and in float64 there: 0.7 must be one number.
        threshold = float(np.float32(threshold))
        self.lowest_score = min(LOWEST_SCORE, threshold)
        self._rate = float(rate)
        self._frame = -1
        self._tracker = ByteTrackTracker(
            lost_track_buffer=round(30 * SECONDS_KEPT),  # counted in thirtieths of a second
            frame_rate=self._rate,
            track_activation_threshold=threshold,
            high_conf_det_threshold=threshold,
        )
        self._threshold = threshold

    def __call__(self, found: Detections, skipped: int = 0) -> Tracked:
        """The detections of the next frame with their tracks, in the order they came in.

        Args:
            found: what was found in it; none is a frame, too, and must be handed in.
            skipped: so many frames were left out between the last call's and this one.

        Returns:
            Those that score ``threshold`` or more, and those below that go on with a track.

        Raises:
            ValueError: ``skipped`` is negative.
        """
        if skipped < 0:
            raise ValueError(f"skipped: got {skipped}, expected at least 0")
        self._frame += 1 + skipped
        found = found.above(self.lowest_score)
        boxes = self._detections(
            xyxy=np.array(found.boxes_xyxy), confidence=np.array(found.scores),
            # The tracker gives boxes back in another order, and the rows with them.
            data={"row": np.arange(len(found))},
        )
        matched = self._tracker.update(boxes, timestamp=self._frame / self._rate)
        ids = np.full(len(found), -1, np.int64)
        if len(matched):
            tracks = matched.tracker_id
            ids[matched.data["row"]] = np.where(tracks >= 0, tracks + 1, -1)
        shown = (found.scores >= self._threshold) | (ids >= 0)
        return Tracked(found.select(shown), ids[shown])
