"""Tracks objects from frame to frame with ByteTrack."""

from __future__ import annotations

import math

import numpy as np

from detkit.errors import MissingExtraError
from detkit.structures.detections import Detections
from detkit.video.analytics.tracked_detections import TrackedDetections

MIN_SCORE = 0.1  # of detections that can continue a track, as in the ByteTrack paper
LOST_TRACK_SECONDS = 1.0  # a track without detections ends after this time


class Tracker:
    """Assigns track ids 1, 2, 3, ... to the detections of consecutive frames.

    A detection with a score of at least ``threshold`` starts a track, which gets its id in its
    second consecutive frame. A detection with a lower score (of a partly hidden object, say) can
    only continue a track for which there is no better detection; else it is dropped. Pass all
    detections with a score of at least ``min_score``; with fewer, partly hidden objects are lost
    sooner.

    Detections are matched with the predicted positions of the tracks, regardless of their class:
    an object whose label alternates between 'car' and 'truck' is one track. A track ends after a
    second without detections.

    Args:
        fps: frame rate of the video, including dropped frames.
        threshold: minimum score to start a track.

    Attributes:
        min_score: detections with a lower score are ignored.

    Raises:
        MissingExtraError: the library trackers is not installed.
        ValueError: ``fps`` is not positive, or ``threshold`` is not in [0, 1].

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
        # Scores are float32 here and float64 in the tracker: both must compare with the same value.
        threshold = float(np.float32(threshold))
        self.min_score = min(MIN_SCORE, threshold)
        self._fps = float(fps)
        self._frame = -1
        self._tracker = ByteTrackTracker(
            lost_track_buffer=round(30 * LOST_TRACK_SECONDS),  # in 1/30 s
            frame_rate=self._fps,
            track_activation_threshold=threshold,
            high_conf_det_threshold=threshold,
        )
        self._threshold = threshold

    def __call__(self, detections: Detections, skipped_frames: int = 0) -> TrackedDetections:
        """Track the detections of the next frame; their order is kept.

        Args:
            detections: of the frame; call it for frames without detections, too.
            skipped_frames: number of frames dropped since the last call.

        Returns:
            The detections with a score of at least ``threshold``, and those that continue a track.

        Raises:
            ValueError: ``skipped_frames`` is negative.
        """
        if skipped_frames < 0:
            raise ValueError(f"skipped_frames: got {skipped_frames}, expected at least 0")
        self._frame += 1 + skipped_frames
        detections = detections.filter_by_score(self.min_score)
        boxes = self._detections(
            xyxy=np.array(detections.boxes_xyxy), confidence=np.array(detections.scores),
            # The tracker changes the order of the boxes; the row numbers restore it.
            data={"row": np.arange(len(detections))},
        )
        matched = self._tracker.update(boxes, timestamp=self._frame / self._fps)
        ids = np.full(len(detections), -1, np.int64)
        if len(matched):
            tracks = matched.tracker_id
            ids[matched.data["row"]] = np.where(tracks >= 0, tracks + 1, -1)
        keep = (detections.scores >= self._threshold) | (ids >= 0)
        return TrackedDetections(detections[keep], ids[keep])
