"""Which detections of one frame are those of the frames before: ByteTrack."""

from __future__ import annotations

import math

import numpy as np

from detkit.errors import MissingExtraError
from detkit.structures.detections import Detections
from detkit.video.analytics.tracked_detections import TrackedDetections

MIN_SCORE = 0.1  # of a box that may go on with a track; as in ByteTrack's paper
LOST_TRACK_SECONDS = 1.0  # a track lives on for so long when nothing is found of it


class Tracker:
    """Gives the detections of a video's frames the ids of their tracks, 1, 2, 3, ...

    A box that scores ``threshold`` or more begins a track, which has its id from its second
    frame in a row on. Boxes below go on with tracks that no better box goes on with (something
    half hidden scores low) and are dropped where there is none; so hand in what scores
    ``min_score`` or more, and show what comes back. Handing in only what scores ``threshold``
    or more works, too, and loses what is half hidden sooner.

    Boxes are matched by where a track should be by now, whatever their class: a label that
    flickers between 'car' and 'truck' is one track. A track of which nothing is found for a
    second ends; what comes later is another.

    Args:
        fps: frames per second of the video, those left out included.
        threshold: the lowest score that begins a track.

    Attributes:
        min_score: boxes that score less are not looked at.

    Raises:
        MissingExtraError: the library trackers is not installed.
        ValueError: the fps is not above 0, or the threshold not from 0 to 1.

    Source: ByteTrack (arXiv 2110.06864), as in the library trackers.
    """

    def __init__(self, fps: float, threshold: float) -> None:
        if not (math.isfinite(fps) and fps > 0):
            raise ValueError(f"fps: got {fps}, expected frames per second, above 0")
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
        self.min_score = min(MIN_SCORE, threshold)
        self._fps = float(fps)
        self._frame = -1
        self._tracker = ByteTrackTracker(
            lost_track_buffer=round(30 * LOST_TRACK_SECONDS),  # counted in thirtieths of a second
            frame_rate=self._fps,
            track_activation_threshold=threshold,
            high_conf_det_threshold=threshold,
        )
        self._threshold = threshold

    def __call__(self, detections: Detections, skipped_frames: int = 0) -> TrackedDetections:
        """The detections of the next frame with their tracks, in the order they came in.

        Args:
            detections: what was found in it; none is a frame, too, and must be handed in.
            skipped_frames: so many frames were left out between the last call's and this one.

        Returns:
            Those that score ``threshold`` or more, and those below that go on with a track.

        Raises:
            ValueError: ``skipped_frames`` is negative.
        """
        if skipped_frames < 0:
            raise ValueError(f"skipped_frames: got {skipped_frames}, expected at least 0")
        self._frame += 1 + skipped_frames
        detections = detections.filter_by_score(self.min_score)
        boxes = self._detections(
            xyxy=np.array(detections.boxes_xyxy), confidence=np.array(detections.scores),
            # The tracker gives boxes back in another order, and the rows with them.
            data={"row": np.arange(len(detections))},
        )
        matched = self._tracker.update(boxes, timestamp=self._frame / self._fps)
        ids = np.full(len(detections), -1, np.int64)
        if len(matched):
            tracks = matched.tracker_id
            ids[matched.data["row"]] = np.where(tracks >= 0, tracks + 1, -1)
        keep = (detections.scores >= self._threshold) | (ids >= 0)
        return TrackedDetections(detections[keep], ids[keep])
