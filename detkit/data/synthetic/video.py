"""The sample's video: things that move, turn, grow and hide each other; the truth of each frame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from detkit.data.synthetic.lighting import develop, throw_light
from detkit.data.synthetic.made_objects import CLASSES, LEAN
from detkit.data.synthetic.rng import Dice
from detkit.data.synthetic.scene import Seen, compose, look_at
from detkit.data.synthetic.sprite import ROOM_LOOK, ROOM_VIDEO, Pose, draw_thing
from detkit.data.synthetic.textures import draw_wood
from detkit.errors import MissingExtraError, VideoError

FRAME_RATE = 30
RESIDENTS, PASSERS = 3, 7
# Below this share in sight a thing is marked iscrowd, which evaluators leave out of account.
MIN_VISIBLE = 0.3


@dataclass(frozen=True)
class Track:
    """One thing on its way through the video.

    Attributes:
        label: index into CLASSES.
        look: the key of its looks.
        start: (x, y) pixels at frame 0; ``step``: pixels moved in a frame.
        swing: (x, y) pixels to each side of that line, at ``beat`` radians a frame from ``phase``.
        size: pixels, breathing by ``breath`` of itself.
        lean: degrees to each side; ``stretch``, ``mirrored`` as in Pose.
    """

    label: int
    look: tuple[int, int, int, int]
    start: tuple[float, float]
    step: tuple[float, float]
    swing: tuple[float, float]
    beat: float
    phase: float
    size: float
    breath: float
    lean: float
    stretch: float
    mirrored: bool

    def pose(self, frame: int) -> Pose:
        """Where it stands in this frame."""
        beat = self.beat * frame + self.phase
        return Pose(
            self.start[0] + self.step[0] * frame + self.swing[0] * math.sin(beat),
            self.start[1] + self.step[1] * frame + self.swing[1] * math.sin(0.7 * beat + 1),
            self.size * (1 + self.breath * math.sin(0.9 * beat)),
            self.lean * math.sin(0.6 * beat),
            self.stretch,
            self.mirrored,
        )


def throw_tracks(seed: int, frames: int, size_hw: tuple[int, int]) -> list[Track]:
    """Things for a video, farthest first: some never leave it, the others pass through."""
    height, width = size_hw
    scale = min(height / 240, width / 320)
    dice = Dice(seed, ROOM_VIDEO, 0)
    tracks = []
    first = dice.whole(0, len(CLASSES) - 1)
    for i in range(RESIDENTS + PASSERS):
        label = (first + 3 * i) % len(CLASSES)  # once round all ten
        to_right = dice.chance(0.5)
        if i < RESIDENTS:
            size = scale * dice.scale(64, 104)
            start = (width * (0.2 + 0.3 * i), height * dice.between(0.4, 0.6))
            step, swing = (0.0, 0.0), (width * 0.1, height * 0.2)
        else:
            size = scale * dice.scale(38, 92)
            speed = scale * dice.between(1.7, 3.0) * (1 if to_right else -1)
            # It crosses the middle at its own time, spread over the video, on one of three lanes.
            noon = frames * (i - RESIDENTS + dice.between(0.2, 0.8)) / PASSERS
            lane = height * (0.25 + 0.25 * (i % 3)) + scale * dice.between(-12, 12)
            start = (width / 2 - speed * noon, lane)
            step, swing = (speed, 0.0), (0.0, height * 0.08)
        tracks.append(
            Track(
                label, (seed, ROOM_LOOK, i, 0), start, step, swing,
                dice.between(0.03, 0.06), dice.between(0, 6), size, dice.between(0.1, 0.3),
                min(60.0, LEAN[CLASSES[label]]), dice.scale(0.9, 1.1), not to_right,
            )  # fmt: skip
        )
    return tracks


def draw_frames(
    seed: int, frames: int, size_hw: tuple[int, int]
) -> Iterator[tuple[NDArray[np.uint8], list[tuple[int, Seen]]]]:
    """Draw the video frame by frame.

    Yields:
        (H, W, 3) uint8 RGB, and (track index, what is seen of it) for all that is in sight.
    """
    height, width = size_hw
    dice = Dice(seed, ROOM_VIDEO, 1)
    tracks = throw_tracks(seed, frames, size_hw)
    wide, tall = round(width * 1.2), round(height * 1.2)
    ground = draw_wood(dice, tall, wide, min(height / 240, width / 320))
    base = replace(throw_light(dice), gain=1.0, blur=0.0, noise=0.0)
    for frame in range(frames):
        turn = 2 * math.pi * frame / max(frames, 1)
        drift = (width * 0.08 * math.sin(turn), -height * 0.06 * math.cos(turn))
        middle = (wide / 2 + drift[0], tall / 2 + drift[1])
        background = cv2.getRectSubPix(ground, (width, height), middle)
        light = replace(base, gain=0.98 + 0.14 * math.sin(turn + 1))
        poses = [(i, track, track.pose(frame)) for i, track in enumerate(tracks)]
        near = [
            (i, track, pose) for i, track, pose in poses
            if -pose.size < pose.x < width + pose.size and -pose.size < pose.y < height + pose.size
        ]  # fmt: skip
        sprites = [draw_thing(track.label, track.look, p, base.toward) for _, track, p in near]
        picture, owner = compose(background, sprites, light)
        seen = look_at([track.label for _, track, _ in near], sprites, owner)
        yield develop(picture, light, None), [(near[each.index][0], each) for each in seen]


def write_video(file: Path, seed: int, frames: int, size_hw: tuple[int, int]) -> dict[str, Any]:
    """Write the video as h264 in mp4 and return its truth in COCO's form.

    Args:
        file: to write; its name stands in the truth.
        seed: of the sample.
        frames: how many, at 30 a second.
        size_hw: pixels, both even.

    Returns:
        The truth: as COCO's, an image for each frame (``frame_index`` from 0), and a ``track_id``
        (from 1) and ``visibility`` (share of the thing in sight) in each annotation; those with
        less than 0.3 in sight have ``iscrowd`` 1.

    Raises:
        MissingExtraError: PyAV is not installed.
        VideoError: the installed PyAV has no h264 encoder.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "video") from error
    if "libx264" not in av.codecs_available:
        raise VideoError(
            f"{file} cannot be written: PyAV has no encoder libx264",
            do="install PyAV from its wheel: pip install --force-reinstall av",
        )
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE)
        stream.height, stream.width, stream.pix_fmt = *size_hw, "yuv420p"
        stream.time_base = Fraction(1, FRAME_RATE)
        # More threads cut the frames into other slices: other bytes on another machine.
        stream.options = {"crf": "20", "preset": "veryfast", "threads": "1", "bf": "0"}
        stream.thread_count = 1
        for index, (image, seen) in enumerate(draw_frames(seed, frames, size_hw)):
            images.append(
                {"id": index + 1, "file_name": file.name, "frame_index": index,
                 "height": size_hw[0], "width": size_hw[1]}  # fmt: skip
            )
            for track, each in seen:
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": index + 1, "track_id": track + 1,
                     "category_id": each.label + 1, "bbox": list(each.box),
                     "area": each.box[2] * each.box[3],
                     "iscrowd": int(each.visible < MIN_VISIBLE),
                     "visibility": round(each.visible, 4)}  # fmt: skip
                )
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
    return {"images": images, "annotations": annotations, "categories": categories}
