"""Look at a video: writes an h264 video with boxes and labels, or with the label of each frame.

A classifier's label is smoothed: the mean of its probabilities over the last frames. The
checkpoint carries its config and classes; nothing else is needed; a folder that 'detkit export'
wrote serves as well. Every frame of a file goes out, in order and with its own time; of a camera
or stream those that the model has time for. A table at the end says where the milliseconds went.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkit.cli.sample_path import sample_path
from detkit.cli.video_args import add_video_flags, check_files
from detkit.errors import VideoError
from detkit.text import printable

if TYPE_CHECKING:
    from detkit.cli.video_task import Task
    from detkit.video.io.fragmented_file import FragmentedFile
    from detkit.video.io.frame import VideoInfo
    from detkit.video.io.source import Source

EXAMPLES = """examples:
  detkit video work_dirs/quickstart/best.pth clip.mp4 --out found.mp4
  detkit video work_dirs/quickstart/best.pth clip.mp4 --track --count-line 0,360,1280,360 \\
      --out counted.mp4 --json counted.jsonl
  detkit video work_dirs/quickstart/best.pth clip.mp4 --out quick.mp4 --target-fps 30
  detkit video work_dirs/quickstart/best.pth rtsp://192.0.2.7/stream --json found.jsonl
  detkit video work_dirs/classify_swin_nano/best.pth clip.mp4 --out named.mp4 --window 30
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``video``."""
    add_video_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Look, draw, write, print the table."""
    args.file = str(sample_path(Path(args.file), "video.mp4")) if args.file == "sample" \
        else args.file
    # Before the slow imports, and before a model is loaded: what can be seen now to be wrong.
    check_files(args)

    from detkit.cli.video_task import build_task
    from detkit.engine.devices import set_cpu_threads, set_device

    set_cpu_threads(set_device(args.device))
    info = _read_info(args)
    if args.target_fps is not None:
        from detkit.cli.video_rate import tune_for_fps

        tune_for_fps(args, info)
    return _run_task(args, build_task(args, info))


def _read_info(args: argparse.Namespace) -> VideoInfo:
    """What the source says of itself. It is closed again: a stream would not wait for a model."""
    from detkit.video.io.source import open_source

    source = open_source(args.file, args.fps, args.max_pixels)
    source.close()
    return source.info


def _run_task(args: argparse.Namespace, task: Task) -> int:
    """Run the video, with what is said of each frame in the json file; print the table."""
    from detkit.cli.progress import progress
    from detkit.tables import format_table
    from detkit.video.io.writer import PRESETS
    from detkit.video.pipeline import VideoInterrupted, run_video

    with ExitStack() as stack:
        json_lines = None if args.json is None else stack.enter_context(
            closing(_JsonLinesWriter(args.json)))
        step: Callable[[], None] = _no_progress

        def on_start(source: Source) -> None:
            nonlocal step
            step = stack.enter_context(progress("frames", total=source.info.frame_count))
            if source.info.has_audio and source.audio is None and args.out is not None:
                print(f"{args.file}: its sound is left out", file=sys.stderr)

        def on_frame(index: int, timestamp_s: float, prediction: Any) -> None:
            if json_lines is not None:
                json_lines.add({
                    "frame": index, "seconds": round(timestamp_s, 6), **task.to_record(prediction)
                })
            step()

        try:
            report = run_video(
                task.predict, args.file, args.out, task.draw, track=task.track,
                batch_size=task.batch_size, workers=task.workers, live=args.live, fps=args.fps,
                encoder=args.encoder, preset=args.preset or PRESETS[0],
                audio=not args.no_audio, force=args.force, max_pixels=args.max_pixels,
                on_start=on_start, on_frame=on_frame,
            )
        except VideoInterrupted as stop:
            stack.close()
            print(printable(str(stop)), file=sys.stderr)
            raise stop.__cause__ or stop  # which signal it was decides the exit code
    for note in report.notes:
        print(printable(note), file=sys.stderr)
    for path in (report.out, args.json):
        if path is not None:
            print(f"written to {path}")
    print(report.table())
    print(format_table([("engine", task.engine), *task.summary_rows()], "ll"))
    return 0


class _JsonLinesWriter:
    """The json file: made with its first line, so that a run which says nothing leaves nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FragmentedFile | None = None

    def add(self, record: dict[str, Any]) -> None:
        """Write a line; it lies in the file at once."""
        from detkit.video.io.fragmented_file import FragmentedFile

        line = json.dumps(record, ensure_ascii=False) + "\n"
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = FragmentedFile(self._path)
            self._file.write(line.encode())
        except OSError as error:
            raise VideoError(f"{self._path}: cannot be written", got=error.strerror) from error

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()


def _no_progress() -> None:
    """No progress to show."""
