"""A checkpoint into a folder that holds an engine as accurate as it is, or into nothing."""

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

from detkit.config.test_pipeline import pipeline_of
from detkit.errors import ExportError
from detkit.files import sha256_of
from detkit.inference.detection_adapter import SampleAdapter
from detkit.inference.engine_predictor import EnginePredictor
from detkit.inference.engines.availability import device_name
from detkit.inference.engines.openvino.int8 import Canvas
from detkit.inference.export.accuracy_check import Watch, compare
from detkit.inference.export.checkpoint_graphs import CheckpointGraphs
from detkit.inference.export.eval_split import Pictures, pictures_of, take_data_of, validation_split
from detkit.inference.export.graph_file import refuse_precision, write_graph
from detkit.inference.export.input_sizes import Size, canvas_of, canvases_for, rule_for
from detkit.inference.export.manifest import NAME, Manifest
from detkit.inference.letterbox import InputRule, fit
from detkit.structures.detections import Detections

logger = logging.getLogger(__name__)
LIBRARIES = {
    "openvino": ("openvino", "nncf"),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "torch": ("safetensors",),
}
DROPS = {"f32": 0.1}
OTHER_DROP = 0.5


@contextlib.contextmanager
def unseen(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar that shows nothing."""
    yield lambda: None


@dataclass(frozen=True)
class Order:
    """What to export, and how.

    Args:
        format: 'openvino', 'onnx' or 'torch'.
        precision: 'f32', 'bf16' or 'int8'.
        sizes: canvases (height, width), or longer sides of the pictures; none for what the
            checkpoint was tested at.
        data: a folder of images and annotations, or 'sample'; None for the checkpoint's own.
        max_ap_drop: points of 0.01 AP that may be lost; None for 0.1 of f32 and 0.5 of others.
        max_proposals: of a two-stage detector, at most so many proposals reach its second stage;
            None for as many as its config says.
        calibration: training pictures for int8.
        batch: pictures in a call of the engine while it is measured.
        device: where the checkpoint and torch's engine are measured.
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
        """Points of 0.01 AP that may be lost."""
        if self.max_ap_drop is not None:
            return self.max_ap_drop
        return DROPS.get(self.precision, OTHER_DROP)


@dataclass(frozen=True)
class Exported:
    """What came of an export.

    Args:
        manifest: with the figures of the gate.
        folder: where the engine lies; None when the gate kept it back.
    """

    manifest: Manifest
    folder: Path | None


def export(checkpoint: Path, out: Path, order: Order, watch: Watch = unseen) -> Exported:
    """Make an engine of a checkpoint, measure both, and leave the engine if it is as accurate.

    Args:
        checkpoint: a detector's.
        out: the folder to make; it appears when it is whole.
        order: what to make.
        watch: shows how far it is.

    Raises:
        WeightsError: the file is no such checkpoint.
        MissingExtraError: a library is not installed.
        ExportError: the folder is there, or the model or the machine cannot do what is asked.
        DataError: the data cannot be used.
    """
    # mmdet and COCO's evaluation print as they go; stdout is for results.
    with contextlib.redirect_stdout(sys.stderr):
        return _export(checkpoint, out, order, watch)


def _export(checkpoint: Path, out: Path, order: Order, watch: Watch) -> Exported:
    _refuse_existing(out, order.force)
    refuse_precision(order.format, order.precision, order.device)
    source = CheckpointGraphs(checkpoint, max_proposals=order.max_proposals)
    with tempfile.TemporaryDirectory(prefix="detkit-") as work, _folder_beside(out) as folder:
        take_data_of(source.cfg, order.data, Path(work), source.classes)
        validation = pictures_of(source.cfg, validation_split(source.cfg))
        rule = rule_for(source.rule, order.sizes)
        seen = [picture.size_hw for picture in validation.pictures]
        canvases = canvases_for(rule, order.sizes, seen)
        manifest = _write(source, folder, order, rule, canvases, sha256_of(checkpoint), watch)
        figures = _measure(source, folder, order, validation, watch)
        if order.data is not None:
            # What was made of it for the measuring is gone by then.
            figures = replace(figures, data=order.data)
        manifest = replace(manifest, figures=figures)
        if not figures.drop <= order.allowed_drop:
            return Exported(manifest, None)
        manifest.write(folder)
        _put(folder, out)
    return Exported(manifest, out)


def _write(
    source: CheckpointGraphs, folder: Path, order: Order, rule: InputRule,
    canvases: Sequence[Size], checkpoint_hash: str, watch: Watch,
) -> Manifest:
    graphs, most = {}, 0
    with watch(f"making {order.format} {order.precision}", len(canvases)) as advance:
        for canvas in canvases:
            graph: Any = source.graph(canvas)
            most = int(graph.max_results)
            pictures = None
            if order.precision == "int8":
                pictures = _calibration(source, order.calibration, rule, canvas, canvases)
            graphs[canvas] = write_graph(order.format, graph, canvas, folder, pictures)
            advance()
    made = Manifest(
        order.format, order.precision, source.classes, rule, most, order.max_proposals, graphs,
        {path.name: sha256_of(path) for path in sorted(folder.iterdir())}, checkpoint_hash,
        _versions(order.format),
    )
    made.write(folder)
    return made


def _calibration(
    source: CheckpointGraphs, count: int, rule: InputRule, canvas: Size, canvases: Sequence[Size]
) -> list[Canvas]:
    """Training pictures on a canvas: those that belong there, or any where none does."""
    train = pictures_of(source.cfg, "train")
    belonging = tuple(picture for picture in train.pictures
                      if canvas_of(rule, picture.size_hw, canvases) == canvas)
    chosen = Pictures(train.annotation_file, belonging or train.pictures).spread(count)
    fitted = (fit(picture.read(), canvas, rule) for picture in chosen)
    return [(one.canvas, one.valid_hw) for one in fitted]


def _measure(
    source: CheckpointGraphs, folder: Path, order: Order, validation: Pictures, watch: Watch
) -> Any:
    # Until here it was on the CPU, where graphs are written from it.
    source.model.to(device_name(order.device))
    adapter = SampleAdapter(source.model, pipeline_of(source.cfg), len(source.classes))
    engine = EnginePredictor.from_folder(
        folder, device=order.device, score_threshold=0.0, batch=order.batch)

    def checkpoint_looks(images: Sequence[Any]) -> list[Detections]:
        return [adapter.look([adapter.prepare(image)])[0] for image in images]

    try:
        return compare(checkpoint_looks, engine, validation, source.classes, order.allowed_drop,
                       watch, order.batch)
    finally:
        engine.close()


def _refuse_existing(out: Path, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out}: is a file", expected="a folder for the engine")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not force:
        raise ExportError(f"{out}: the folder is not empty, and nothing is overwritten unasked",
                          do="name another --out, or add --force")
    if not (out / NAME).is_file():
        raise ExportError(f"{out}: holds something else than an exported engine, which --force "
                          "does not replace", do="name another --out")


@contextlib.contextmanager
def _folder_beside(out: Path) -> Iterator[Path]:
    """A new folder on ``out``'s disk, gone at the end unless it was moved away."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".detkit-", dir=out.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put(folder: Path, out: Path) -> None:
    """Give the folder its name; what had it, as it may, goes when the new one is in its place."""
    # As every folder is, not as mkdtemp makes them, for their owner alone.
    mask = os.umask(0)
    os.umask(mask)
    folder.chmod(0o777 & ~mask)
    old = folder.with_name(f"{folder.name}-old")
    if out.is_dir():
        out.rename(old)
    try:
        folder.rename(out)
    except BaseException:
        if old.is_dir():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _versions(form: str) -> dict[str, str]:
    found = {}
    for name in ("detkit", "torch", "torchvision", *LIBRARIES[form]):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            if name == "detkit":
                from detkit.version import __version__

                found[name] = __version__
    return found
