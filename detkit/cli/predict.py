"""Run inference on images; save results and visualizations.

Detections are written to DIR/detections.json, classifications to DIR/predictions.json and
DIR/predictions.csv. A checkpoint contains its config and its classes. Images that cannot be read
are listed at the end, and the exit code is 1. Images of which only the first frame was read, or
whose 16-bit values were scaled, are listed, too.
"""

from __future__ import annotations

import argparse
import glob
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from detkit.cli.args import add_max_pixels, add_trust_flag, score
from detkit.cli.engine_args import MMDET, add_engine_flags
from detkit.cli.inference_args import (
    CLASS_THRESHOLD,
    DETECTION_THRESHOLD,
    TOP_K,
    add_checkpoint,
    add_device,
    add_threshold,
    check_flags,
    positive_int,
)
from detkit.cli.sample_path import sample_path
from detkit.errors import DetkitError
from detkit.text import list_names, name_hint, printable

if TYPE_CHECKING:
    from detkit.inference.files_report import FilesReport
    from detkit.inference.predict_files import DrawFn, PredictFn
    from detkit.inference.predictor_protocol import Image, PredictorProtocol
    from detkit.structures.classifications import Classifications
    from detkit.structures.detections import Detections

EXAMPLES = """examples:
  detkit predict work_dirs/quickstart/best.pth photo.jpg --out results
  detkit predict work_dirs/quickstart/best.pth photos/ --out results --threshold 0.5 --no-images
  detkit predict exported photos/ --out results
  detkit predict work_dirs/quickstart/best.pth photos/ --out results --classes car --save-coco
  detkit predict work_dirs/classify_efficientnet_lite0/best.pth photos/ --out labels --top-k 3
"""
AGNOSTIC_IOU = 0.5
CLASSIFIER_BATCH = 8  # detectors use all cores with a single image

Prediction = TypeVar("Prediction")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``detkit predict``."""
    add_checkpoint(parser)
    add_trust_flag(parser)
    parser.add_argument(
        "images", metavar="IMAGES", nargs="+", type=Path,
        help="image files, folders (searched recursively), patterns such as 'photos/*.jpg', "
        "'sample', or - for a list of files on stdin, one a line",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True,
        help="output folder; must be new or empty",
    )
    add_threshold(parser)
    parser.add_argument("--classes", metavar="NAME", nargs="+",
                        help="detectors only: keep these classes")
    parser.add_argument("--max-det", metavar="N", type=positive_int,
                        help="detectors only: keep the N highest scores of an image")
    parser.add_argument("--agnostic-nms", metavar="IOU", nargs="?", type=score,
                        const=AGNOSTIC_IOU, help="detectors only: of detections of any classes "
                        f"that overlap by more than IOU ({AGNOSTIC_IOU}), keep the highest score")
    parser.add_argument("--save-coco", action="store_true",
                        help="also write coco_results.json and coco_images.json, whose ids it has")
    parser.add_argument("--save-txt", action="store_true",
                        help="also write labels/IMAGE.txt in YOLO's format, with scores")
    parser.add_argument("--save-csv", action="store_true", help="also write detections.csv")
    parser.add_argument("--save-crops", action="store_true",
                        help="also write the pixels of each box to crops/CLASS/")
    parser.add_argument(
        "--top-k", metavar="K", type=positive_int,
        help=f"classifiers only: number of classes per image (default: {TOP_K})",
    )
    add_device(parser)
    add_max_pixels(parser)
    add_engine_flags(parser, None, f"{MMDET}; for an exported folder its engine")
    parser.add_argument("--no-images", action="store_true", help="do not save visualizations")
    parser.add_argument("--no-pictures", dest="no_images", action="store_true",
                        help=argparse.SUPPRESS)  # the former name of --no-images
    parser.add_argument("--force", action="store_true", help="write to a folder that is not empty")


def run(args: argparse.Namespace) -> int:
    """Run inference on all images and print a table; 1 if an image could not be processed."""
    from detkit.inference.image_files import find_images, summarize_skipped

    skipped: list[Path] = []
    paths = [path for given in args.images for path in _expand(given)]
    files = find_images([sample_path(path, "test") for path in paths], skipped.append)

    from detkit.cli.build_predictor import build_predictor
    from detkit.inference.files_report import format_notes
    from detkit.inference.predictor_protocol import CLASSIFICATION

    predictor = build_predictor(args)
    run_task: Callable[..., tuple[FilesReport[Any], str]] = (
        _run_classifier if predictor.task == CLASSIFICATION else _run_detector)
    report, table = run_task(args, predictor, files)
    print(printable(table, keep="\n"))
    print(f"written to {args.out}")
    for line in format_notes(report):
        print(f"note: {printable(line)}", file=sys.stderr)
    if skipped:
        print(f"note: skipped, not images: {printable(summarize_skipped(skipped))}",
              file=sys.stderr)
    if not report.failed:
        return 0
    print(f"{len(report.failed)} of {len(files)} images could not be processed:", file=sys.stderr)
    for file, reason in report.failed:
        print(f"  {printable(f'{file}: {reason}')}", file=sys.stderr)
    return 1


def _expand(path: Path) -> list[Path]:
    """The files of a pattern, which some shells leave to the program, or of a list on stdin."""
    if str(path) == "-":
        lines = [line.rstrip("\r\n") for line in sys.stdin]
        if not any(lines):
            raise DetkitError("-: stdin has no file names", expected="one a line")
        return [Path(line) for line in lines if line]
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    found = sorted(glob.glob(str(path), recursive=True))
    if not found:
        raise DetkitError(f"{path}: no file matches this pattern")
    return list(map(Path, found))


def _run_detector(
    args: argparse.Namespace, predictor: PredictorProtocol[Detections], files: list[Path]
) -> tuple[FilesReport[Detections], str]:
    """The results, and a table of the number of detections per class."""
    from detkit.inference.detection_exports import write_coco, write_crops, write_csv, write_txt
    from detkit.inference.detection_files import counts_table, write_detections
    from detkit.structures.select_detections import select_detections
    from detkit.visualization.box_annotator import BoxAnnotator

    check_flags(args, "detector", {"--top-k": args.top_k is not None})
    threshold = DETECTION_THRESHOLD if args.threshold is None else args.threshold
    predictor.score_threshold = threshold
    labels = _find_labels(args.classes, predictor.classes)

    def predict(images: list[Image]) -> list[Detections]:
        return [select_detections(detections, labels, args.agnostic_nms, args.max_det)
                for detections in predictor(images)]

    def write(report: FilesReport[Detections]) -> None:
        write_detections(report, args.out, predictor.classes, threshold)
        for is_asked, write_format in (
                (args.save_coco, write_coco), (args.save_txt, write_txt),
                (args.save_csv, write_csv), (args.save_crops, write_crops)):
            if is_asked:
                write_format(report, args.out, predictor.classes)

    report = _run_files(
        args, predict, files, write,
        None if args.no_images else BoxAnnotator(predictor.classes),
        batch_size=1,
    )
    return report, counts_table(report, predictor.classes)


def _find_labels(names: Sequence[str] | None, classes: Sequence[str]) -> list[int] | None:
    """The labels of the names of ``--classes``; None if it was not given."""
    if names is None:
        return None
    for name in names:
        if name not in classes:
            raise DetkitError(f"--classes: the model has no class '{name}'",
                              expected=f"names among {list_names(classes, 20)}",
                              hint=name_hint(name, classes))
    return [list(classes).index(name) for name in names]


def _run_classifier(
    args: argparse.Namespace, predictor: PredictorProtocol[Classifications], files: list[Path]
) -> tuple[FilesReport[Classifications], str]:
    """The results, and a table of the labels."""
    from detkit.inference.classification_files import top_table, write_predictions
    from detkit.visualization.label_annotator import LabelAnnotator, upscale_small

    check_flags(args, "classifier", {
        "--classes": args.classes is not None, "--max-det": args.max_det is not None,
        "--agnostic-nms": args.agnostic_nms is not None, "--save-coco": args.save_coco,
        "--save-txt": args.save_txt, "--save-csv": args.save_csv, "--save-crops": args.save_crops})
    top_k = min(TOP_K if args.top_k is None else args.top_k, len(predictor.classes))
    threshold = CLASS_THRESHOLD if args.threshold is None else args.threshold
    annotate = LabelAnnotator(predictor.classes, top_k, threshold)
    report = _run_files(
        args, predictor, files,
        lambda report: write_predictions(report, args.out, predictor.classes, top_k, threshold),
        None if args.no_images else lambda image, scores: annotate(upscale_small(image), scores),
        batch_size=CLASSIFIER_BATCH,
    )
    return report, top_table(report, predictor.classes, top_k, threshold)


def _run_files(
    args: argparse.Namespace,
    predict: PredictFn[Prediction],
    files: list[Path],
    write: Callable[[FilesReport[Prediction]], None],
    draw: DrawFn[Prediction] | None,
    batch_size: int,
) -> FilesReport[Prediction]:
    """Process the files with a progress bar; on an interrupt, report how many are done."""
    from detkit.cli.progress import progress
    from detkit.inference.output_folder import make_output_dir
    from detkit.inference.predict_files import predict_files

    make_output_dir(args.out, force=args.force)
    count = 0
    try:
        with progress("images", total=len(files)) as step:
            def on_file(file: Path) -> None:
                nonlocal count
                count += 1
                step()

            return predict_files(predict, files, args.out, write, draw, on_file, batch_size)
    except KeyboardInterrupt:
        print(f"{count} of {len(files)} images done: {args.out}", file=sys.stderr)
        raise
