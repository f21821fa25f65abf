"""Trial runs for a target frame rate: what a checkpoint allows to vary, and how fast it runs."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Union

from detkit.errors import DetkitError, VideoError
from detkit.video.fps_tuning import TrialConfig, TrialResult, trial_configs
from detkit.video.io.first_frames import FirstFrames
from detkit.video.pipeline import run_video
from detkit.video.run_report import DETECT

if TYPE_CHECKING:
    from detkit.video.io.source import Source
    from detkit.video.video_task import VideoTask

NUM_FRAMES = 64
NUM_WARM_UP_FRAMES = 16
GPU_BATCH_SIZES = (1, 4)
Size = Union[tuple[int, int], int]


def configs_for_checkpoint(
    checkpoint: Path, device: str, *, size: Size | None = None, max_proposals: int | None = None,
    batch: int | None = None,
) -> list[TrialConfig]:
    """The configs to try for a detector's checkpoint, the most accurate first.

    Args:
        checkpoint: the file.
        device: 'auto', 'cpu', 'cuda' or 'cuda:1'; batches are tried on a GPU only.
        size, max_proposals, batch: kept at this value; None to vary it. The configs of a given
            ``size`` have None for it.

    Raises:
        WeightsError: the file is not a checkpoint.
        ExportError: no engine can run the model.
    """
    from detkit.inference.engines.availability import resolve_device_type
    from detkit.inference.export.checkpoint_graphs import CheckpointGraphs

    graphs = CheckpointGraphs(checkpoint)
    rpn_cfg = (graphs.cfg.model.get("test_cfg") or {}).get("rpn")
    proposals = None if rpn_cfg is None else int(rpn_cfg.get("max_per_img", 1000))
    batch_sizes = GPU_BATCH_SIZES if resolve_device_type(device) == "cuda" else (1,)
    candidates = trial_configs(max(graphs.resize_spec.scale), graphs.resize_spec.divisor, proposals,
                               batch_sizes if batch is None else (batch,))
    # By what varies, since several candidates differ only in what is kept.
    unique: dict[tuple[int | None, int | None, int], TrialConfig] = {}
    for candidate in candidates:
        config = TrialConfig(
            candidate.size if size is None else None,
            candidate.proposals if max_proposals is None else max_proposals,
            candidate.batch, candidate.cost)
        unique.setdefault((config.size, config.proposals, config.batch), config)
    return list(unique.values())


def run_trial(
    task: VideoTask, source: Source, suffix: str | None, encoder: str, preset: str
) -> TrialResult:
    """Run the first frames of a source through the whole pipeline and measure its frame rate.

    Args:
        task: what to run.
        source: an opened source; closed at the end.
        suffix: of the video file to write, which is removed again; None to write none.
        encoder, preset: as `run_video` takes them.

    Raises:
        DetkitError: the pipeline failed.
    """
    frame_times: list[float] = []
    with tempfile.TemporaryDirectory(prefix="detkit-") as folder:
        out = None if suffix is None else Path(folder, f"trial{suffix}")
        try:
            report = run_video(
                task.predict, FirstFrames(source, NUM_FRAMES), out, task.draw,
                track=task.track, batch_size=task.batch_size, workers=task.workers, live=False,
                encoder=encoder, preset=preset,
                on_frame=lambda *_: frame_times.append(time.perf_counter()),
            )
        except VideoError as error:
            # The outer error names a partial file, which is removed with this folder.
            raise error.__cause__ if isinstance(error.__cause__, DetkitError) else error
    first = min(NUM_WARM_UP_FRAMES, len(frame_times) // 2)
    elapsed = frame_times[-1] - frame_times[first]
    # With a single frame only the time of the whole run is known.
    fps = (len(frame_times) - 1 - first) / elapsed if elapsed > 0 else report.fps
    mean_ms = {
        name: histogram.total / histogram.count
        for name, histogram in report.times.stages.items()
        if histogram.count
    }
    other_ms = sum(value for name, value in mean_ms.items() if name != DETECT)
    return TrialResult(fps, mean_ms.get(DETECT, 0.0), other_ms)
