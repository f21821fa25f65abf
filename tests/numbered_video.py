"""Videos whose frames carry their number, in blocks that survive h264."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

BITS = 10
BLOCK = 16


def numbered_image(number: int, size_hw: tuple[int, int] = (64, 160)) -> np.ndarray:
    """Grey, with the number's bits as black and white blocks along the top, lowest bit left."""
    image = np.full((*size_hw, 3), 128, np.uint8)
    for bit in range(BITS):
        image[:BLOCK, bit * BLOCK:(bit + 1) * BLOCK] = 255 * (number >> bit & 1)
    return image


def number_in(image: np.ndarray) -> int:
    """The number that `numbered_image` drew."""
    quarter = BLOCK // 4
    blocks = [
        image[quarter:-quarter or None][:BLOCK - 2 * quarter,
                                        bit * BLOCK + quarter:(bit + 1) * BLOCK - quarter]
        for bit in range(BITS)
    ]
    return sum(1 << bit for bit, block in enumerate(blocks) if block.mean() > 127)


def write_video(
    path: Path,
    count: int,
    size_hw: tuple[int, int] = (64, 160),
    rate: Fraction | int = 25,
    times: list[int] | None = None,
    time_base: Fraction | None = None,
    rotation: int = 0,
    options: dict[str, str] | None = None,
    codec: str = "libx264",
) -> Path:
    """A numbered video by PyAV alone; ``times`` in ticks of ``time_base`` when not constant."""
    import av

    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *size_hw, "yuv420p"
        base = time_base or 1 / Fraction(rate)
        stream.codec_context.time_base = base
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(count):
            image = numbered_image(number, size_hw)
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
            frame.time_base = base
            frame.pts = times[number] if times is not None else number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_back(path: Path) -> tuple[list[int], list[Fraction]]:
    """The numbers and times (seconds, from the first) in a video, by PyAV alone."""
    import av

    with av.open(str(path)) as container:
        frames = [
            (number_in(frame.to_ndarray(format="rgb24")), frame.pts * frame.time_base)
            for frame in container.decode(video=0)
        ]
    return [number for number, _ in frames], [at - frames[0][1] for _, at in frames]
