"""The built-in sample: a synthetic detection dataset with ten classes, generated on demand.

It needs no download and has no license restrictions, its annotations are exact, and the same seed
gives the same boxes on every machine.
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

# Increased whenever the images change, so that cached folders of earlier versions are not used.
VERSION = 5
SPLITS = ("train", "val", "test")
COUNTS: Mapping[str, int] = {"train": 600, "val": 100, "test": 500}
SIZE_HW = (240, 320)
VIDEO_FRAMES, VIDEO_SIZE_HW = 180, (480, 640)
JPEG_QUALITY = 92

README = """\
The built-in sample of detkit, version {version}, seed {seed}.

Synthetic images of ten object classes on textured backgrounds, under varying lighting, partly
occluded by each other or truncated by the image edge.
Classes: {classes}.
{counts}

train/ val/ test/   images, {width}x{height} JPEG
annotations/        COCO JSON of each split
video.mp4           {video}
video.json          COCO JSON with an image per frame (frame_index from 0) and track_id; objects
                    with less than 30 % visible have iscrowd 1
                    (both files need PyAV, detkit's extra "video")

Boxes are [left, top, width, height] in integer pixels: the tight extent of the visible part of
the object (pixels covered by at least half), without its shadow. At least 45 % of each object in
an image is visible. area is that of the box. The same seed gives the same bytes with the same
versions of NumPy, OpenCV and PyAV on the same type of processor; on others the last bits of some
pixels differ in a few images.
"""


def make_sample(folder: Path, seed: int = 0, counts: Mapping[str, int] | None = None,
                size_hw: tuple[int, int] = SIZE_HW, video_frames: int = VIDEO_FRAMES,
                video_size_hw: tuple[int, int] = VIDEO_SIZE_HW) -> Path:
    """Write the sample to a new folder, which appears only when it is complete.

    Without PyAV (the extra ``video``) a warning is logged and only the video is missing.

    Args:
        folder: must not exist, or be empty.
        seed: 0 to 2**31 - 1.
        counts: number of images of each split, at least 1; by default 600, 100 and 500. With 10
            or more every class is in the split.
        size_hw: image size in pixels, at least 96x128.
        video_frames: number of frames; 0 for no video.
        video_size_hw: frame size in pixels, even, at least 96x128.

    Returns:
        The folder: {train,val,test}/*.jpg, annotations/{train,val,test}.json, README.txt, and
        video.mp4 with video.json.

    Raises:
        DataError: the folder is not empty, or an argument is out of range.
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
        video_summary = "not requested"
        if video_frames:
            height, width = video_size_hw
            video_summary = f"{video_frames} frames, {width}x{height}, 30 per second"
            try:
                _add_video(temp_folder, seed, video_frames, video_size_hw)
            except (MissingExtraError, VideoError) as error:
                logger.warning("the sample's video was not made: %s", error)
        numbers = ", ".join(f"{split_counts[split]} {split}" for split in SPLITS)
        text = README.format(
            version=VERSION, seed=seed, classes=", ".join(CLASSES), counts=f"Images: {numbers}.",
            height=size_hw[0], width=size_hw[1], video=video_summary)
        (temp_folder / "README.txt").write_text(text, encoding="utf-8")
    return folder


def ensure_sample(seed: int = 0) -> Path:
    """The folder of the cached sample of this seed, generated if it is missing.

    The cache is ~/.cache/detkit, or the environment variable DETKIT_CACHE.

    Raises:
        DataError: the cache cannot be written, or the seed is out of range.
    """
    folder = cache_dir() / f"sample-{VERSION}-{seed}"
    if not _is_complete(folder):
        logger.info("generating the built-in sample in %s (about 20 seconds)", folder)
        try:
            make_sample(folder, seed, video_frames=VIDEO_FRAMES)
        except (OSError, DataError) as error:
            if _is_complete(folder):  # another process finished first
                return folder
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"the built-in sample cannot be written to {folder}", got=error.strerror,
                hint="set DETKIT_CACHE to a writable folder",
            ) from error
    return folder


def ensure_sample_video(seed: int = 0) -> Path:
    """The video of the cached sample, with video.json beside it, generated if it is missing.

    Raises:
        MissingExtraError: PyAV is not installed.
        VideoError: PyAV has no H.264 encoder.
        DataError: as ``ensure_sample``.
    """
    folder = ensure_sample(seed)
    if not (folder / "video.json").is_file():  # generated without PyAV
        _add_video(folder, seed, VIDEO_FRAMES, VIDEO_SIZE_HW)
    return folder / "video.mp4"


def _is_complete(folder: Path) -> bool:
    return (folder / "README.txt").is_file()


def cache_dir() -> Path:
    """The folder of generated files: DETKIT_CACHE, or ~/.cache/detkit."""
    configured = os.environ.get("DETKIT_CACHE")
    return Path(configured).expanduser() if configured else Path.home() / ".cache" / "detkit"


def _check_arguments(seed: int, counts: Mapping[str, int] | None, size_hw: tuple[int, int],
                     video_frames: int, video_size_hw: tuple[int, int]) -> dict[str, int]:
    if not 0 <= seed < 2**31:
        raise DataError("the sample's seed", got=seed, expected="0 to 2147483647")
    for split, count in (counts or {}).items():
        if split not in SPLITS:
            raise DataError("a split of the sample", got=split, expected="train, val or test")
        if count < 1:
            raise DataError(f"number of images in the sample's split {split}", got=count,
                            expected="1 or more")
    for subject, (height, width) in (("images", size_hw), ("video", video_size_hw)):
        if height < 96 or width < 128:
            raise DataError(f"the size of the sample's {subject}", got=f"{width}x{height}",
                            expected="at least 128x96")
    if video_frames < 0 or video_size_hw[0] % 2 or video_size_hw[1] % 2:
        raise DataError("the sample's video", got=f"{video_frames} frames of {video_size_hw}",
                        expected="0 frames or more, height and width even")
    return {**COUNTS, **(counts or {})}


def _write_split(folder: Path, seed: int, count: int, size_hw: tuple[int, int]) -> dict[str, Any]:
    folder.mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        scene = draw_scene(seed, SPLITS.index(folder.name), index, size_hw)
        name = f"{index:06d}.jpg"
        _, encoded = cv2.imencode(".jpg", scene.image[:, :, ::-1],
                                  [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        (folder / name).write_bytes(encoded.tobytes())
        images.append({"id": index + 1, "file_name": name, "height": size_hw[0],
                       "width": size_hw[1]})
        for obj in scene.objects:
            annotations.append(obj.coco_annotation(len(annotations) + 1, index + 1))
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _add_video(folder: Path, seed: int, frames: int, size_hw: tuple[int, int]) -> None:
    """Write video.mp4, then video.json, each atomically."""
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
    """A temporary folder beside ``folder``, renamed to it on success, else removed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temp_folder = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield temp_folder
        temp_folder.chmod(0o755)
        os.replace(temp_folder, folder)
    finally:
        shutil.rmtree(temp_folder, ignore_errors=True)
