"""The built-in sample: a detection data set of ten drawn things, made on the spot.

It needs no download and no licence, its ground truth is exact, and the same seed gives the same
boxes on every machine.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2

from detkit.data.synthetic.object_shapes import CLASSES
from detkit.data.synthetic.scene import draw_scene
from detkit.data.synthetic.video import write_video
from detkit.errors import DataError, MissingExtraError, VideoError

logger = logging.getLogger(__name__)

# Counts up whenever the bytes change, so that no cached folder of an older drawing is taken.
VERSION = 5
SPLITS = ("train", "val", "test")
COUNTS: Mapping[str, int] = {"train": 600, "val": 100, "test": 500}
SIZE_HW = (240, 320)
VIDEO_FRAMES, VIDEO_SIZE_HW = 180, (480, 640)
JPEG_QUALITY = 92

README = """\
The built-in sample of detkit, version {version}, seed {seed}.

Every picture was drawn by the program: ten kinds of things before
textured backgrounds, in changing light, partly hidden by each other or cut by the edge.
Classes: {classes}.
{counts}

train/ val/ test/   pictures, {width}x{height} JPEG
annotations/        COCO json for each split
video.mp4           {video}
video.json          COCO json, an image for each frame (frame_index from 0), with track_id; things
                    of which less than 30 % can be seen have iscrowd 1
                    (both are there only if PyAV was, detkit's extra "video")

Boxes are [left, top, width, height] in whole pixels, the tight extent of what can be seen of the
thing (where it covers half a pixel or more, its shadow left out). Of every thing in a picture at
least 45 % can be seen. area is that of the box. The same seed gives the same bytes with the same
versions of NumPy, OpenCV and PyAV on a processor of the same kind; on others a few of the pictures
differ in the last bits of some pixels.
"""


def make_sample(
    folder: Path,
    seed: int = 0,
    counts: Mapping[str, int] | None = None,
    size_hw: tuple[int, int] = SIZE_HW,
    video_frames: int = VIDEO_FRAMES,
    video_size_hw: tuple[int, int] = VIDEO_SIZE_HW,
) -> Path:
    """Draw the sample into a new folder, which appears only when all of it is there.

    Without PyAV (the extra ``video``) all but the video is made, and a warning says so.

    Args:
        folder: must not exist, or be empty.
        seed: 0 to 2**31 - 1.
        counts: pictures by split, each at least 1; a split that is not named has 600, 100, 500.
            From 10 on every class is in the split.
        size_hw: pixels of the pictures, at least 96x128.
        video_frames: 0 for no video.
        video_size_hw: pixels of the video, even, at least 96x128.

    Returns:
        The folder: {train,val,test}/*.jpg, annotations/{train,val,test}.json, README.txt, and
        video.mp4 with video.json.

    Raises:
        DataError: the folder holds something, or an argument is outside its range.
    """
    folder = Path(folder)
    split_counts = _check_arguments(seed, counts, size_hw, video_frames, video_size_hw)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(
            f"{folder} already exists and is not empty", hint="name a folder that does not exist"
        )
    with _atomic_folder(folder) as temp_folder:
        (temp_folder / "annotations").mkdir()
        for split in SPLITS:
            ground_truth = _write_split(temp_folder / split, seed, split_counts[split], size_hw)
            _write_json(temp_folder / "annotations" / f"{split}.json", ground_truth)
        video_summary = "none was asked for"
        if video_frames:
            video_summary = f"{video_frames} frames, {video_size_hw[1]}x{video_size_hw[0]}, 30 a second"
            try:
                _add_video(temp_folder, seed, video_frames, video_size_hw)
            except (MissingExtraError, VideoError) as error:
                logger.warning("the sample's video was not made: %s", error)
        numbers = ", ".join(f"{split_counts[split]} {split}" for split in SPLITS)
        text = README.format(
            version=VERSION, seed=seed, classes=", ".join(CLASSES), counts=f"Pictures: {numbers}.",
            height=size_hw[0], width=size_hw[1], video=video_summary,
        )  # fmt: skip
        (temp_folder / "README.txt").write_text(text, encoding="utf-8")
    return folder


def ensure_sample(seed: int = 0) -> Path:
    """The cached sample of this seed, made now if it is not there yet.

    It lies in ~/.cache/detkit, or where the environment variable DETKIT_CACHE says.

    Raises:
        DataError: the cache cannot be written, or the seed is outside its range.
    """
    folder = cache_dir() / f"sample-{VERSION}-{seed}"
    if not _is_complete(folder):
        logger.info("drawing the built-in sample into %s (about 20 seconds)", folder)
        try:
            make_sample(folder, seed, video_frames=VIDEO_FRAMES)
        except (OSError, DataError) as error:
            if _is_complete(folder):  # another process was quicker
                return folder
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"the built-in sample cannot be written to {folder}", got=error.strerror,
                hint="set DETKIT_CACHE to a folder that can be written",
            ) from error  # fmt: skip
    return folder


def ensure_sample_video(seed: int = 0) -> Path:
    """The video of the cached sample, its truth in video.json beside it; made if not there yet.

    Raises:
        MissingExtraError: PyAV is not installed.
        VideoError: PyAV has no h264 encoder.
        DataError: as for ensure_sample.
    """
    folder = ensure_sample(seed)
    if not (folder / "video.json").is_file():  # made when PyAV was not there
        _add_video(folder, seed, VIDEO_FRAMES, VIDEO_SIZE_HW)
    return folder / "video.mp4"


def _is_complete(folder: Path) -> bool:
    return (folder / "README.txt").is_file()


def cache_dir() -> Path:
    """Where detkit keeps what it can make again: DETKIT_CACHE, or ~/.cache/detkit."""
    configured = os.environ.get("DETKIT_CACHE")
    return Path(configured).expanduser() if configured else Path.home() / ".cache" / "detkit"


def _check_arguments(
    seed: int,
    counts: Mapping[str, int] | None,
    size_hw: tuple[int, int],
    video_frames: int,
    video_size_hw: tuple[int, int],
) -> dict[str, int]:
    if not 0 <= seed < 2**31:
        raise DataError("the sample's seed", got=seed, expected="0 to 2147483647")
    for split, count in (counts or {}).items():
        if split not in SPLITS:
            raise DataError("a split of the sample", got=split, expected="train, val or test")
        if count < 1:
            raise DataError(f"pictures in the sample's {split}", got=count, expected="1 or more")
    for subject, (height, width) in (("pictures", size_hw), ("video", video_size_hw)):
        if height < 96 or width < 128:
            raise DataError(
                f"the size of the sample's {subject}", got=f"{width}x{height}",
                expected="at least 128x96",
            )  # fmt: skip
    if video_frames < 0 or video_size_hw[0] % 2 or video_size_hw[1] % 2:
        raise DataError(
            "the sample's video", got=f"{video_frames} frames of {video_size_hw}",
            expected="0 frames or more, height and width even",
        )  # fmt: skip
    return {**COUNTS, **(counts or {})}


def _write_split(folder: Path, seed: int, count: int, size_hw: tuple[int, int]) -> dict[str, Any]:
    folder.mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        scene = draw_scene(seed, SPLITS.index(folder.name), index, size_hw)
        name = f"{index:06d}.jpg"
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        _, encoded = cv2.imencode(".jpg", scene.image[:, :, ::-1], quality)
        (folder / name).write_bytes(encoded.tobytes())
        height, width = size_hw
        images.append({"id": index + 1, "file_name": name, "height": height, "width": width})
        for obj in scene.objects:
            annotations.append(obj.coco_annotation(len(annotations) + 1, index + 1))
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _add_video(folder: Path, seed: int, frames: int, size_hw: tuple[int, int]) -> None:
    """Write video.mp4 and then video.json, each whole or not at all."""
    with tempfile.TemporaryDirectory(prefix=".video-", dir=folder) as name:
        temp_folder = Path(name)
        ground_truth = write_video(temp_folder / "video.mp4", seed, frames, size_hw)
        _write_json(temp_folder / "video.json", ground_truth)
        for file in ("video.mp4", "video.json"):
            os.replace(temp_folder / file, folder / file)


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


@contextmanager
def _atomic_folder(folder: Path) -> Iterator[Path]:
    """A folder beside the one that is wanted, which takes its name if all goes well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temp_folder = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield temp_folder
        temp_folder.chmod(0o755)
        os.replace(temp_folder, folder)
    finally:
        shutil.rmtree(temp_folder, ignore_errors=True)
