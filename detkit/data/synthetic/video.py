"""The video of the sample: moving objects that occlude each other, annotated in each frame."""

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

from detkit.data.synthetic.lighting import apply_lighting, random_lighting
from detkit.data.synthetic.object_shapes import CLASSES, MAX_ROTATION
from detkit.data.synthetic.rng import KeyedRng
from detkit.data.synthetic.scene import VisibleObject, compose, find_visible_objects
from detkit.data.synthetic.sprite import STREAM_APPEARANCE, STREAM_VIDEO, Pose, draw_sprite
from detkit.data.synthetic.textures import draw_wood
from detkit.errors import MissingExtraError, VideoError

FRAME_RATE = 30
NUM_STATIONARY, NUM_CROSSING = 3, 7
# An object with a smaller visible fraction has iscrowd 1, which evaluators ignore.
MIN_VISIBLE = 0.3


@dataclass(frozen=True)
class Track:
    """The motion of one object: along a line, with an oscillation.

    Attributes:
        label: index into CLASSES.
        appearance: key of the object's colors and details.
        base: pose at frame 0 with the mean size and the maximum rotation.
        velocity: (x, y) pixels per frame.
        amplitude: (x, y) pixels of the oscillation.
        frequency: of the oscillation, radians per frame.
        phase: of the oscillation, radians.
        size_amplitude: relative amplitude of the size.
    """

    label: int
    appearance: tuple[int, int, int, int]
    base: Pose
    velocity: tuple[float, float]
    amplitude: tuple[float, float]
    frequency: float
    phase: float
    size_amplitude: float

    def pose(self, frame: int) -> Pose:
        """The pose in this frame."""
        angle = self.frequency * frame + self.phase
        return replace(
            self.base,
            x=self.base.x + self.velocity[0] * frame + self.amplitude[0] * math.sin(angle),
            y=(self.base.y + self.velocity[1] * frame
               + self.amplitude[1] * math.sin(0.7 * angle + 1)),
            size=self.base.size * (1 + self.size_amplitude * math.sin(0.9 * angle)),
            angle=self.base.angle * math.sin(0.6 * angle))


def random_tracks(seed: int, frames: int, size_hw: tuple[int, int]) -> list[Track]:
    """Tracks from far to near: the first stay in the image, the others cross it."""
    height, width = size_hw
    scale = min(height / 240, width / 320)
    rng = KeyedRng(seed, STREAM_VIDEO, 0)
    tracks = []
    first = rng.randint(0, len(CLASSES) - 1)
    for i in range(NUM_STATIONARY + NUM_CROSSING):
        label = (first + 3 * i) % len(CLASSES)  # each of the ten classes once
        moves_right = rng.bernoulli(0.5)
        if i < NUM_STATIONARY:
            size = scale * rng.log_uniform(64, 104)
            start = (width * (0.2 + 0.3 * i), height * rng.uniform(0.4, 0.6))
            velocity, amplitude = (0.0, 0.0), (width * 0.1, height * 0.2)
        else:
            size = scale * rng.log_uniform(38, 92)
            speed = scale * rng.uniform(1.7, 3.0) * (1 if moves_right else -1)
            # The times at the image center are spread over the video, the rows over three lanes.
            crossing_frame = frames * (i - NUM_STATIONARY + rng.uniform(0.2, 0.8)) / NUM_CROSSING
            lane = height * (0.25 + 0.25 * (i % 3)) + scale * rng.uniform(-12, 12)
            start = (width / 2 - speed * crossing_frame, lane)
            velocity, amplitude = (speed, 0.0), (0.0, height * 0.08)
        frequency, phase = rng.uniform(0.03, 0.06), rng.uniform(0, 6)
        size_amplitude = rng.uniform(0.1, 0.3)
        base = Pose(*start, size, min(60.0, MAX_ROTATION[CLASSES[label]]),
                    rng.log_uniform(0.9, 1.1), not moves_right)
        tracks.append(Track(label, (seed, STREAM_APPEARANCE, i, 0), base, velocity, amplitude,
                            frequency, phase, size_amplitude))
    return tracks


def draw_frames(
    seed: int, frames: int, size_hw: tuple[int, int]
) -> Iterator[tuple[NDArray[np.uint8], list[tuple[int, VisibleObject]]]]:
    """Draw the video frame by frame.

    Yields:
        (H, W, 3) uint8 RGB, and (track index, visible object) for each object in the frame.
    """
    height, width = size_hw
    rng = KeyedRng(seed, STREAM_VIDEO, 1)
    tracks = random_tracks(seed, frames, size_hw)
    ground_width, ground_height = round(width * 1.2), round(height * 1.2)
    ground = draw_wood(rng, ground_height, ground_width, min(height / 240, width / 320))
    base = replace(random_lighting(rng), gain=1.0, blur=0.0, noise=0.0)
    for frame in range(frames):
        turn = 2 * math.pi * frame / frames
        center = (ground_width / 2 + width * 0.08 * math.sin(turn),
                  ground_height / 2 - height * 0.06 * math.cos(turn))
        background = cv2.getRectSubPix(ground, (width, height), center)
        lighting = replace(base, gain=0.98 + 0.14 * math.sin(turn + 1))
        labels, sprites, indices = [], [], []
        for index, track in enumerate(tracks):
            pose = track.pose(frame)
            if (-pose.size < pose.x < width + pose.size
                    and -pose.size < pose.y < height + pose.size):
                indices.append(index)
                labels.append(track.label)
                sprites.append(draw_sprite(track.label, track.appearance, pose, base.direction))
        image, instance_map = compose(background, sprites, lighting)
        yield apply_lighting(image, lighting, None), [
            (indices[obj.index], obj)
            for obj in find_visible_objects(labels, sprites, instance_map)]


def write_video(file: Path, seed: int, frames: int, size_hw: tuple[int, int]) -> dict[str, Any]:
    """Write the video as H.264 in MP4 and return its annotations in COCO format.

    Args:
        file: output file; its name is in the annotations.
        seed: seed of the sample.
        frames: number of frames, at 30 per second.
        size_hw: frame size in pixels, both even.

    Returns:
        COCO annotations with an image per frame (``frame_index`` from 0); each annotation has
        ``track_id`` (from 1) and ``visibility`` (visible fraction), and ``iscrowd`` 1 for a
        visibility below 0.3.

    Raises:
        MissingExtraError: PyAV is not installed.
        VideoError: the installed PyAV has no H.264 encoder.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "video") from error
    if "libx264" not in av.codecs_available:
        raise VideoError(
            f"{file} cannot be written: PyAV has no encoder libx264",
            hint="install PyAV from its wheel: pip install --force-reinstall av",
        )
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE)
        stream.height, stream.width, stream.pix_fmt = *size_hw, "yuv420p"
        stream.time_base = Fraction(1, FRAME_RATE)
        # The number of threads changes the slices of a frame, and with them the bytes.
        stream.options = {"crf": "20", "preset": "veryfast", "threads": "1", "bf": "0"}
        stream.thread_count = 1
        for index, (image, visible_objects) in enumerate(draw_frames(seed, frames, size_hw)):
            images.append({"id": index + 1, "file_name": file.name, "frame_index": index,
                           "height": size_hw[0], "width": size_hw[1]})
            for track, obj in visible_objects:
                annotation = obj.coco_annotation(len(annotations) + 1, index + 1)
                annotations.append({
                    "id": annotation.pop("id"), "image_id": annotation.pop("image_id"),
                    "track_id": track + 1, **annotation,
                    "iscrowd": int(obj.visibility < MIN_VISIBLE)})
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
    return {"images": images, "annotations": annotations, "categories": categories}
