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
    from detkit.video.analytics.tracked_detections import Tracked
    from detkit.video.io.frame import Frame, VideoInfo

MOST_STREAMS = 4
CLASS_BATCH = 4  # of a classifier's frames; a detector's fill the machine one by one


@dataclass(frozen=True)
class Task:
    """What the pipeline is to do with frames, and what is said of them.

    Args:
        look, track, draw: as `run_video` takes them.
        say: the json of what ``draw`` gets.
        batch_size, workers: as `run_video` takes them.
        engine: one line on what looks.
        counts: lines of the table at the end, each a name and a sentence.
    """

    look: Callable[[list[Any]], Sequence[Any]]
    draw: Callable[[Any, Any], Any]
    say: Callable[[Any], dict[str, Any]]
    engine: str
    track: Callable[[Any, Frame], Any] | None = None
    batch_size: int = 1
    workers: int = 1
    counts: Callable[[], list[tuple[str, str]]] = list


def task_for(args: argparse.Namespace, info: VideoInfo) -> Task:
    """Load the checkpoint and make ready what its task asks for, for frames as ``info`` says.

    Raises:
        DetkitError: it cannot be loaded, or a flag does not go with it.
    """
    from detkit.cli.build_predictor import choose_predictor
    from detkit.inference.predictor import CLASSIFICATION

    predictor, engine = choose_predictor(args, info.size_hw, _streams(), args.batch or 1)
    if predictor.task == CLASSIFICATION:
        return _classifier(args, predictor, engine)
    return _detector(args, predictor, engine, info)


def _streams() -> int:
    """Calls side by side: one core each, but not more than keep the frames' memory small."""
    from detkit.machine.cores import cores

    return min(cores(), MOST_STREAMS)


def _detector(args: argparse.Namespace, predictor: Any, engine: str, info: VideoInfo) -> Task:
    if args.window is not None:
        raise DetkitError(f"--window {args.window}: {args.checkpoint} holds a detector, and only "
                          "a classifier's labels are smoothed", do="leave --window out")
    threshold = DETECTION_THRESHOLD if args.threshold is None else args.threshold
    predictor.score_threshold = threshold
    _warm_up(predictor, info)
    settings: dict[str, Any] = {
        "look": predictor, "engine": engine,
        "batch_size": args.batch or 1, "workers": max(1, getattr(predictor, "streams", 1)),
    }
    if args.track or args.count_line or args.zone:
        return _tracker(args, predictor, info, threshold, settings)
    from detkit.inference.detection_files import as_records
    from detkit.visualization.box_annotator import BoxPainter

    paint = BoxPainter(predictor.classes)

    def say(found: Detections) -> dict[str, Any]:
        return {"detections": list(as_records(found, predictor.classes))}

    return Task(draw=lambda image, found: paint(image, found, in_place=True), say=say, **settings)


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
    from detkit.video.analytics.track_annotator import TrackPainter
    from detkit.video.analytics.tracking import Tracker
    from detkit.video.analytics.zone_counter import ZoneCounter

    classes: Sequence[str] = predictor.classes
    tracker = Tracker(float(info.rate), threshold)
    # Boxes that score low go on with tracks; the tracker leaves out the others.
    predictor.score_threshold = tracker.lowest_score
    lines = [LineCounter(*ends) for ends in args.count_line]
    zones = [ZoneCounter(corners) for corners in args.zone]
    counters: list[LineCounter | ZoneCounter] = [*lines, *zones]
    paint = TrackPainter(classes, counters)
    last = -1

    def track(found: Detections, frame: Frame) -> Tracked:
        nonlocal last
        tracked = tracker(found, skipped=frame.index - last - 1)
        last = frame.index
        for counter in counters:
            counter(tracked)
        return tracked

    def say(tracked: Tracked) -> dict[str, Any]:
        records = [
            {**record, "track": int(track) if track >= 0 else None}
            for record, track in zip(as_records(tracked.detections, classes), tracked.ids)
        ]
        said: dict[str, Any] = {"detections": records}
        if counters:
            said["counts"] = [
                *({"in": line.in_count, "out": line.out_count} for line in lines),
                *({"inside": zone.inside_count, "visitors": zone.visitor_count}
                  for zone in zones),
            ]
        return said

    def counts() -> list[tuple[str, str]]:
        return [
            *((f"line {_corners(ends)}",
               f"in {_per_class(line.in_per_class, classes)}; "
               f"out {_per_class(line.out_per_class, classes)}")
              for ends, line in zip(args.count_line, lines)),
            *((f"zone {_corners(corners)}",
               f"visitors {_per_class(zone.visitors_per_class, classes)}")
              for corners, zone in zip(args.zone, zones)),
        ]

    return Task(
        draw=lambda image, tracked: paint(image, tracked, in_place=True), say=say, track=track,
        counts=counts, **settings,
    )


def _classifier(args: argparse.Namespace, predictor: Any, engine: str) -> Task:
    from detkit.inference.classification_files import as_records, is_sure
    from detkit.structures.classifications import ClassScores
    from detkit.video.analytics.score_window import ScoreWindow
    from detkit.visualization.label_annotator import ClassPainter

    given = {
        "--track": args.track, "--count-line": args.count_line, "--zone": args.zone,
        "--target-fps": args.target_fps is not None,
    }
    wrong = [flag for flag, was_given in given.items() if was_given]
    if wrong:
        raise DetkitError(f"{wrong[0]}: {args.checkpoint} holds a classifier, and this is for "
                          "detectors", do=f"leave {wrong[0]} out")
    window = ScoreWindow(WINDOW if args.window is None else args.window)
    threshold = CLASS_THRESHOLD if args.threshold is None else args.threshold
    paint = ClassPainter(predictor.classes, threshold=threshold)

    def smooth(scores: ClassScores, frame: Frame) -> FrameScores:
        return window.add(scores)

    def say(found: FrameScores) -> dict[str, Any]:
        best, = as_records(found.smoothed, predictor.classes, 1)
        return {
            "top": as_records(found.raw, predictor.classes, TOP_K),
            "smoothed": {**best, "sure": is_sure(found.smoothed, threshold)},
        }

    return Task(
        look=predictor, track=smooth, say=say,
        draw=lambda image, found: paint(image, found.smoothed),
        engine=engine, batch_size=args.batch or CLASS_BATCH,
    )


def _corners(points: Sequence[tuple[float, float]]) -> str:
    return ",".join(f"{value:g}" for point in points for value in point)


def _per_class(counted: dict[int, int], classes: Sequence[str]) -> str:
    """'5 (4 car, 1 bus)', the most frequent class first."""
    parts = ", ".join(f"{number} {classes[label]}" for label, number
                      in sorted(counted.items(), key=lambda pair: -pair[1]))
    return f"{sum(counted.values())}" + (f" ({parts})" if parts else "")
