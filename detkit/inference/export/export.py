"""Export a checkpoint to an engine, which is kept only if its AP is close to the checkpoint's."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from detkit.config.pipeline_cfg import get_test_pipeline_cfg
from detkit.errors import ExportError
from detkit.files import compute_sha256
from detkit.inference.detection_adapter import DetectionAdapter
from detkit.inference.engine_predictor import EnginePredictor
from detkit.inference.engines.availability import resolve_device
from detkit.inference.engines.openvino.int8 import CalibrationImage
from detkit.inference.export.accuracy_check import ProgressFn, compare_ap
from detkit.inference.export.checkpoint_graphs import CheckpointGraphs
from detkit.inference.export.eval_split import EvalSplit, configure_data, get_val_split, load_split
from detkit.inference.export.graph_file import ensure_precision_supported, write_graph
from detkit.inference.export.input_sizes import (
    Size,
    resize_spec_for_sizes,
    select_input_hw,
    select_input_sizes,
)
from detkit.inference.export.manifest import MANIFEST_NAME, Manifest
from detkit.inference.letterbox import ResizeSpec, letterbox
from detkit.structures.detections import Detections

logger = logging.getLogger(__name__)
LIBRARIES = {
    "openvino": ("openvino", "nncf"),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "torch": ("safetensors",),
}
DEFAULT_MAX_AP_DROP = {"f32": 0.1}
DEFAULT_MAX_AP_DROP_OTHER = 0.5


@contextlib.contextmanager
def no_progress(label: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar that shows nothing."""
    yield lambda: None


@dataclass(frozen=True)
class ExportConfig:
    """Options of an export.

    Args:
        format: 'openvino', 'onnx' or 'torch'.
        precision: 'f32', 'bf16' or 'int8'.
        sizes: input sizes (height, width), or longer sides of the resized images; empty for the
            size of the checkpoint's test pipeline.
        data: a folder of images and annotations, or 'sample'; None for the checkpoint's datasets.
        max_ap_drop: allowed AP drop in points of 0.01; None for 0.1 for f32 and 0.5 otherwise.
        max_proposals: maximum number of RPN proposals passed to the RoI head; None for the
            config's.
        calibration: number of training images to calibrate int8 with.
        batch: number of images in one call of the engine during its evaluation.
        device: device of the evaluation of the checkpoint and of torch's engine.
        force: replace an exported folder.
    """

    format: str = "openvino"
    precision: str = "f32"
    sizes: Sequence[Size | int] = ()
    data: str | None = None
    max_ap_drop: float | None = None
    max_proposals: int | None = None
    calibration: int = 300
    batch: int = 1
    device: str = "auto"
    force: bool = False

    @property
    def allowed_drop(self) -> float:
        """Allowed AP drop in points of 0.01."""
        if self.max_ap_drop is not None:
            return self.max_ap_drop
        return DEFAULT_MAX_AP_DROP.get(self.precision, DEFAULT_MAX_AP_DROP_OTHER)


@dataclass(frozen=True)
class ExportResult:
    """The result of an export.

    Args:
        manifest: with the measured accuracy.
        folder: the exported folder; None if the AP drop was too large.
    """

    manifest: Manifest
    folder: Path | None


def export(checkpoint: Path, out: Path, config: ExportConfig,
           progress: ProgressFn = no_progress) -> ExportResult:
    """Create an engine from a checkpoint, and keep it only if the AP drop is within the limit.

    Args:
        checkpoint: a detector's checkpoint.
        out: the folder to create, atomically.
        config: the options.
        progress: opens progress bars.

    Raises:
        WeightsError: the file is not such a checkpoint.
        MissingExtraError: a library is not installed.
        ExportError: the folder exists, or the model or the machine does not support the options.
        DataError: the data cannot be used.
    """
    # mmdet and pycocotools print to stdout, which is for results.
    with contextlib.redirect_stdout(sys.stderr):
        return _export(checkpoint, out, config, progress)


def _export(checkpoint: Path, out: Path, config: ExportConfig,
            progress: ProgressFn) -> ExportResult:
    _check_output_dir(out, config.force)
    ensure_precision_supported(config.format, config.precision, config.device)
    source = CheckpointGraphs(checkpoint, max_proposals=config.max_proposals)
    with tempfile.TemporaryDirectory(
            prefix="detkit-") as work_dir, _sibling_temp_dir(out) as folder:
        configure_data(source.cfg, config.data, Path(work_dir), source.classes)
        validation = load_split(source.cfg, get_val_split(source.cfg))
        resize_spec = resize_spec_for_sizes(source.resize_spec, config.sizes)
        image_sizes = [record.size_hw for record in validation.records]
        input_sizes = select_input_sizes(resize_spec, config.sizes, image_sizes)
        manifest = _write(source, folder, config, resize_spec, input_sizes,
                          compute_sha256(checkpoint), progress)
        accuracy = _measure(source, folder, config, validation, progress)
        if config.data is not None:
            # Instead of the annotation file in the temporary folder.
            accuracy = replace(accuracy, data=config.data)
        manifest = replace(manifest, accuracy=accuracy)
        if not accuracy.drop <= config.allowed_drop:
            return ExportResult(manifest, None)
        manifest.write(folder)
        _move_into_place(folder, out)
    return ExportResult(manifest, out)


def _write(
    source: CheckpointGraphs, folder: Path, config: ExportConfig, resize_spec: ResizeSpec,
    input_sizes: Sequence[Size], checkpoint_hash: str, progress: ProgressFn,
) -> Manifest:
    graphs, max_results = {}, 0
    with progress(f"exporting {config.format} {config.precision}", len(input_sizes)) as advance:
        for input_hw in input_sizes:
            graph: Any = source.graph(input_hw)
            max_results = int(graph.max_results)
            calibration_images = None
            if config.precision == "int8":
                calibration_images = _calibration(source, config.calibration, resize_spec, input_hw,
                                                  input_sizes)
            graphs[input_hw] = write_graph(config.format, graph, input_hw, folder,
                                           calibration_images)
            advance()
    manifest = Manifest(config.format, config.precision, source.classes, resize_spec, max_results,
                        config.max_proposals, graphs,
                        {path.name: compute_sha256(path)
                         for path in sorted(folder.iterdir())}, checkpoint_hash,
                        _versions(config.format),
                        )
    manifest.write(folder)
    return manifest


def _calibration(source: CheckpointGraphs, count: int, resize_spec: ResizeSpec, input_hw: Size,
                 input_sizes: Sequence[Size]) -> list[CalibrationImage]:
    """Letterboxed training images: those that use this input size, or all if none does."""
    train = load_split(source.cfg, "train")
    matching = tuple(record for record in train.records
                     if select_input_hw(resize_spec, record.size_hw, input_sizes) == input_hw)
    chosen = EvalSplit(train.annotation_file, matching or train.records).subsample(count)
    letterboxed = (letterbox(record.read(), input_hw, resize_spec) for record in chosen)
    return [(item.canvas, item.image_hw) for item in letterboxed]


def _measure(source: CheckpointGraphs, folder: Path, config: ExportConfig, validation: EvalSplit,
             progress: ProgressFn) -> Any:
    # Moved only now, since graphs are written from the CPU.
    source.model.to(resolve_device(config.device))
    adapter = DetectionAdapter(source.model, get_test_pipeline_cfg(source.cfg), len(source.classes))
    engine = EnginePredictor.from_folder(
        folder, device=config.device, score_threshold=0.0, batch_size=config.batch)

    def predict_checkpoint(images: Sequence[Any]) -> list[Detections]:
        return [adapter.predict([adapter.prepare(image)])[0] for image in images]

    try:
        return compare_ap(predict_checkpoint, engine, validation, source.classes,
                          config.allowed_drop, progress, config.batch)
    finally:
        engine.close()


def _check_output_dir(out: Path, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out}: is a file", expected="a folder for the engine")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not force:
        raise ExportError(f"{out}: the folder is not empty",
                          hint="name another --out, or add --force")
    if not (out / MANIFEST_NAME).is_file():
        raise ExportError(f"{out}: is not an exported engine, and --force does not replace "
                          "anything else", hint="name another --out")


@contextlib.contextmanager
def _sibling_temp_dir(out: Path) -> Iterator[Path]:
    """A new folder on the disk of ``out``, removed at the end unless it was moved."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".detkit-", dir=out.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move_into_place(folder: Path, out: Path) -> None:
    """Rename the folder to ``out``; a folder of that name is removed after that."""
    # The permissions of any new folder; mkdtemp's are for the owner only.
    mask = os.umask(0)
    os.umask(mask)
    folder.chmod(0o777 & ~mask)
    backup = folder.with_name(f"{folder.name}-old")
    if out.is_dir():
        out.rename(backup)
    try:
        folder.rename(out)
    except BaseException:
        if backup.is_dir():
            backup.rename(out)
        raise
    shutil.rmtree(backup, ignore_errors=True)


def _versions(export_format: str) -> dict[str, str]:
    versions = {}
    for name in ("detkit", "torch", "torchvision", *LIBRARIES[export_format]):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            if name == "detkit":
                from detkit.version import __version__

                versions[name] = __version__
    return versions
