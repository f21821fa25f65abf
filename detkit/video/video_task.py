"""What the stages of a video run do for each task: predict, track, draw, and give JSON records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detkit.structures.classifications import Classifications
    from detkit.structures.detections import Detections
    from detkit.video.analytics.score_window import FrameScores
    from detkit.video.analytics.tracked_detections import TrackedDetections
    from detkit.video.io.frame import Frame, VideoInfo

MAX_STREAMS = 4
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class VideoTask:
    """The functions of a run's stages.

    Args:
        predict, track, draw: as `run_video` takes them.
        to_record: makes the JSON record of what ``draw`` gets.
        batch_size, workers: as `run_video` takes them.
        summary_rows: rows (name, text) for the table at the end of the run.
    """

    predict: Callable[[list[Any]], Sequence[Any]]
    draw: Callable[[Any, Any], Any]
    to_record: Callable[[Any], dict[str, Any]]
    track: Callable[[Any, Frame], Any] | None = None
    batch_size: int = 1
    workers: int = 1
    summary_rows: Callable[[], list[tuple[str, str]]] = list


def num_streams() -> int:
    """Parallel calls of an engine: one per core, at most 4 to bound the memory of their frames."""
    from detkit.machine.cpu_limits import num_cores

    return min(num_cores(), MAX_STREAMS)


def detection_task(
    predictor: Any, info: VideoInfo, threshold: float, batch_size: int = 1
) -> VideoTask:
    """Detect objects and draw their boxes.

    Args:
        predictor: a detector; its score threshold is set, and it is warmed up.
        info: of the video.
        threshold: detections with a lower score are left out.
        batch_size: frames per call of the predictor.
    """
    from detkit.inference.detection_files import as_records
    from detkit.visualization.box_annotator import BoxAnnotator

    _prepare_detector(predictor, info, threshold)
    annotate = BoxAnnotator(predictor.classes)

    def to_record(prediction: Detections) -> dict[str, Any]:
        return {"detections": list(as_records(prediction, predictor.classes))}

    return VideoTask(
        predict=predictor, to_record=to_record,
        draw=lambda image, prediction: annotate(image, prediction, in_place=True),
        batch_size=batch_size, workers=_workers(predictor),
    )


def tracking_task(
    predictor: Any, info: VideoInfo, threshold: float, batch_size: int = 1,
    count_lines: Sequence[Points] = (), zone_polygons: Sequence[Points] = (),
) -> VideoTask:
    """Detect and track objects, count them at lines and in zones, and draw all of it.

    Args:
        predictor, info, threshold, batch_size: as `detection_task` takes them.
        count_lines: the two end points of each line, in pixels of the frames.
        zone_polygons: the corners of each zone, in pixels of the frames.
    """
    from detkit.inference.detection_files import as_records
    from detkit.video.analytics.line_counter import LineCounter
    from detkit.video.analytics.track_annotator import TrackAnnotator
    from detkit.video.analytics.tracking import Tracker
    from detkit.video.analytics.zone_counter import ZoneCounter

    _prepare_detector(predictor, info, threshold)
    classes: Sequence[str] = predictor.classes
    tracker = Tracker(float(info.fps), threshold)
    # Detections with low scores continue tracks; the tracker drops those that do not.
    predictor.score_threshold = tracker.min_score
    lines = [LineCounter(start, end) for start, end in count_lines]
    zones = [ZoneCounter(points) for points in zone_polygons]
    counters: list[LineCounter | ZoneCounter] = [*lines, *zones]
    annotate = TrackAnnotator(classes, counters)
    last_index = -1

    def track(prediction: Detections, frame: Frame) -> TrackedDetections:
        nonlocal last_index
        tracked = tracker(prediction, skipped_frames=frame.index - last_index - 1)
        last_index = frame.index
        for counter in counters:
            counter(tracked)
        return tracked

    def to_record(tracked: TrackedDetections) -> dict[str, Any]:
        records = [
            {**record, "track": int(track_id) if track_id >= 0 else None}
            for record, track_id in zip(as_records(tracked.detections, classes), tracked.ids)
        ]
        output: dict[str, Any] = {"detections": records}
        if counters:
            output["counts"] = [
                *({"in": line.in_count, "out": line.out_count} for line in lines),
                *({"inside": zone.current_count, "visitors": zone.unique_count}
                  for zone in zones),
            ]
        return output

    def summary_rows() -> list[tuple[str, str]]:
        return [
            *((f"line {_format_points(points)}",
               f"in {_format_counts(line.in_count_per_class, classes)}; "
               f"out {_format_counts(line.out_count_per_class, classes)}")
              for points, line in zip(count_lines, lines)),
            *((f"zone {_format_points(points)}",
               f"unique objects {_format_counts(zone.unique_count_per_class, classes)}")
              for points, zone in zip(zone_polygons, zones)),
        ]

    return VideoTask(
        predict=predictor, track=track, to_record=to_record, summary_rows=summary_rows,
        draw=lambda image, tracked: annotate(image, tracked, in_place=True),
        batch_size=batch_size, workers=_workers(predictor),
    )


def classification_task(
    predictor: Any, threshold: float, window_size: int, top_k: int, batch_size: int = 1
) -> VideoTask:
    """Classify each frame and draw the label, smoothed over the last frames.

    Args:
        predictor: a classifier.
        threshold: a label with a lower probability is shown as 'unsure'.
        window_size: frames that the probabilities are averaged over.
        top_k: classes in the record of each frame.
        batch_size: frames per call of the predictor.
    """
    from detkit.inference.classification_files import as_records, is_confident
    from detkit.video.analytics.score_window import ScoreWindow
    from detkit.visualization.label_annotator import LabelAnnotator

    window = ScoreWindow(window_size)
    annotate = LabelAnnotator(predictor.classes, threshold=threshold)

    def smooth(scores: Classifications, frame: Frame) -> FrameScores:
        return window.add(scores)

    def to_record(prediction: FrameScores) -> dict[str, Any]:
        best, = as_records(prediction.smoothed, predictor.classes, 1)
        return {
            "top": as_records(prediction.raw, predictor.classes, top_k),
            "smoothed": {**best, "sure": is_confident(prediction.smoothed, threshold)},
        }

    return VideoTask(
        predict=predictor, track=smooth, to_record=to_record,
        draw=lambda image, prediction: annotate(image, prediction.smoothed),
        batch_size=batch_size,
    )


def _prepare_detector(predictor: Any, info: VideoInfo, threshold: float) -> None:
    """Set the threshold, and run the detector once in this thread.

    A live source does not wait for the setup of the first call, and OpenVINO 2026.4 hangs if two
    threads make its first call at the same time.
    """
    import numpy as np

    predictor.score_threshold = threshold
    predictor(np.zeros((*info.size_hw, 3), np.uint8))


def _workers(predictor: Any) -> int:
    return max(1, getattr(predictor, "num_streams", 1))


def _format_points(points: Points) -> str:
    return ",".join(f"{value:g}" for point in points for value in point)


def _format_counts(count_per_class: dict[int, int], classes: Sequence[str]) -> str:
    """'5 (4 car, 1 bus)', the most frequent class first."""
    parts = ", ".join(f"{count} {classes[label]}" for label, count
                      in sorted(count_per_class.items(), key=lambda item: -item[1]))
    return f"{sum(count_per_class.values())}" + (f" ({parts})" if parts else "")
