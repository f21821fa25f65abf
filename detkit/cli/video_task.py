"""How ``video`` looks at frames, draws what was seen, and says it in json, for each task."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detkit.cli.inference_args import CLASS_THRESHOLD, DETECTION_THRESHOLD, TOP_K
from detkit.cli.video_args import WINDOW
from detkit.errors import DetkitError

if TYPE_CHECKING:
    from detkit.structures.detections import Detections
    from detkit.video.analytics.score_window import FrameScores
    from detkit.video.analytics.tracked_detections import TrackedDetections
    from detkit.video.io.frame import Frame, VideoInfo

MAX_STREAMS = 4
CLASS_BATCH = 4  # of a classifier's frames; a detector's fill the machine one by one


@dataclass(frozen=True)
class Task:
    """What the pipeline is to do with frames, and what is said of them.

    Args:
        predict, track, draw: as `run_video` takes them.
        to_record: the json of what ``draw`` gets.
        batch_size, workers: as `run_video` takes them.
        engine: one line on what looks.
        summary_rows: lines of the table at the end, each a name and a sentence.
    """

    predict: Callable[[list[Any]], Sequence[Any]]
    draw: Callable[[Any, Any], Any]
    to_record: Callable[[Any], dict[str, Any]]
    engine: str
    track: Callable[[Any, Frame], Any] | None = None
    batch_size: int = 1
    workers: int = 1
    summary_rows: Callable[[], list[tuple[str, str]]] = list


def build_task(args: argparse.Namespace, info: VideoInfo) -> Task:
    """Load the checkpoint and make ready what its task asks for, for frames as ``info`` says.

    Raises:
        DetkitError: it cannot be loaded, or a flag does not go with it.
    """
    from detkit.cli.build_predictor import build_predictor
    from detkit.inference.predictor_protocol import CLASSIFICATION

    predictor = build_predictor(args, info.size_hw, _streams(), args.batch or 1)
    if predictor.task == CLASSIFICATION:
        return _classifier(args, predictor, predictor.summary())
    return _detector(args, predictor, predictor.summary(), info)


def _streams() -> int:
    """Calls side by side: one core each, but not more than keep the frames' memory small."""
    from detkit.machine.cpu_limits import num_cores

    return min(num_cores(), MAX_STREAMS)


def _detector(args: argparse.Namespace, predictor: Any, engine: str, info: VideoInfo) -> Task:
    if args.window is not None:
        raise DetkitError(f"--window {args.window}: {args.checkpoint} holds a detector, and only "
                          "a classifier's labels are smoothed", hint="leave --window out")
    threshold = DETECTION_THRESHOLD if args.threshold is None else args.threshold
    predictor.score_threshold = threshold
    _warm_up(predictor, info)
    settings: dict[str, Any] = {
        "predict": predictor, "engine": engine,
        "batch_size": args.batch or 1, "workers": max(1, getattr(predictor, "num_streams", 1)),
    }
    if args.track or args.count_line or args.zone:
        return _tracker(args, predictor, info, threshold, settings)
    from detkit.inference.detection_files import as_records
    from detkit.visualization.box_annotator import BoxAnnotator

    annotate = BoxAnnotator(predictor.classes)

    def to_record(prediction: Detections) -> dict[str, Any]:
        return {"detections": list(as_records(prediction, predictor.classes))}

    return Task(draw=lambda image, prediction: annotate(image, prediction, in_place=True),
                to_record=to_record, **settings)


def _warm_up(predictor: Any, info: VideoInfo) -> None:
    """Look once, in one thread: a live source does not wait for what a first look makes ready.

    OpenVINO 2026.4 hangs where two threads make its first look at once.
    """
    import numpy as np

    predictor(np.zeros((*info.size_hw, 3), np.uint8))


def _tracker(
    args: argparse.Namespace, predictor: Any, info: VideoInfo, threshold: float,
    settings: dict[str, Any],
) -> Task:
    from detkit.inference.detection_files import as_records
    from detkit.video.analytics.line_counter import LineCounter
    from detkit.video.analytics.track_annotator import TrackAnnotator
    from detkit.video.analytics.tracking import Tracker
    from detkit.video.analytics.zone_counter import ZoneCounter

    classes: Sequence[str] = predictor.classes
    tracker = Tracker(float(info.fps), threshold)
    # Boxes that score low go on with tracks; the tracker leaves out the others.
    predictor.score_threshold = tracker.min_score
    lines = [LineCounter(*ends) for ends in args.count_line]
    zones = [ZoneCounter(corners) for corners in args.zone]
    counters: list[LineCounter | ZoneCounter] = [*lines, *zones]
    annotate = TrackAnnotator(classes, counters)
    last = -1

    def track(prediction: Detections, frame: Frame) -> TrackedDetections:
        nonlocal last
        tracked = tracker(prediction, skipped_frames=frame.index - last - 1)
        last = frame.index
        for counter in counters:
            counter(tracked)
        return tracked

    def to_record(tracked: TrackedDetections) -> dict[str, Any]:
        records = [
            {**record, "track": int(track) if track >= 0 else None}
            for record, track in zip(as_records(tracked.detections, classes), tracked.ids)
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
            *((f"line {_corners(ends)}",
               f"in {_per_class(line.in_count_per_class, classes)}; "
               f"out {_per_class(line.out_count_per_class, classes)}")
              for ends, line in zip(args.count_line, lines)),
            *((f"zone {_corners(corners)}",
               f"visitors {_per_class(zone.unique_count_per_class, classes)}")
              for corners, zone in zip(args.zone, zones)),
        ]

    return Task(draw=lambda image, tracked: annotate(image, tracked, in_place=True),
                to_record=to_record, track=track, summary_rows=summary_rows, **settings,
                )


def _classifier(args: argparse.Namespace, predictor: Any, engine: str) -> Task:
    from detkit.inference.classification_files import as_records, is_confident
    from detkit.structures.classifications import Classifications
    from detkit.video.analytics.score_window import ScoreWindow
    from detkit.visualization.label_annotator import LabelAnnotator

    is_set = {
        "--track": args.track, "--count-line": args.count_line, "--zone": args.zone,
        "--target-fps": args.target_fps is not None,
    }
    unsupported = [flag for flag, was_given in is_set.items() if was_given]
    if unsupported:
        raise DetkitError(
            f"{unsupported[0]}: {args.checkpoint} holds a classifier, and this is for "
            "detectors", hint=f"leave {unsupported[0]} out")
    window = ScoreWindow(WINDOW if args.window is None else args.window)
    threshold = CLASS_THRESHOLD if args.threshold is None else args.threshold
    annotate = LabelAnnotator(predictor.classes, threshold=threshold)

    def smooth(scores: Classifications, frame: Frame) -> FrameScores:
        return window.add(scores)

    def to_record(prediction: FrameScores) -> dict[str, Any]:
        best, = as_records(prediction.smoothed, predictor.classes, 1)
        return {
            "top": as_records(prediction.raw, predictor.classes, TOP_K),
            "smoothed": {**best, "sure": is_confident(prediction.smoothed, threshold)},
        }

    return Task(
        predict=predictor, track=smooth, to_record=to_record,
        draw=lambda image, prediction: annotate(image, prediction.smoothed),
        engine=engine, batch_size=args.batch or CLASS_BATCH,
    )


def _corners(points: Sequence[tuple[float, float]]) -> str:
    return ",".join(f"{value:g}" for point in points for value in point)


def _per_class(counted: dict[int, int], classes: Sequence[str]) -> str:
    """'5 (4 car, 1 bus)', the most frequent class first."""
    parts = ", ".join(f"{number} {classes[label]}" for label, number
                      in sorted(counted.items(), key=lambda pair: -pair[1]))
    return f"{sum(counted.values())}" + (f" ({parts})" if parts else "")
