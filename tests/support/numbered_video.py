"""Videos whose frames contain their number, in blocks that survive H.264 compression."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

BLOCK = 16  # one bit per block: numbers below 1024 for an image 160 pixels wide


def numbered_image(number: int, size_hw: tuple[int, int] = (64, 160)) -> np.ndarray:
    """A gray image with the bits of a number as black and white blocks at the top, lowest first."""
    image = np.full((*size_hw, 3), 128, np.uint8)
    for bit in range(size_hw[1] // BLOCK):
        image[:BLOCK, bit * BLOCK:(bit + 1) * BLOCK] = 255 * (number >> bit & 1)
    return image


def number_in(image: np.ndarray) -> int:
    """The number that `numbered_image` drew."""
    quarter = BLOCK // 4
    blocks = [
        image[quarter:-quarter or None][:BLOCK - 2 * quarter,
                                        bit * BLOCK + quarter:(bit + 1) * BLOCK - quarter]
        for bit in range(image.shape[1] // BLOCK)
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
    audio: tuple[str, int] | None = None,
    audio_delay: float = 0.0,
) -> Path:
    """Write a numbered video with PyAV; ``times`` in ticks of ``time_base`` if not regular.

    ``audio`` is a codec and a sample rate: a rising tone, which identifies the time, as long as
    the video, starting at ``audio_delay`` seconds.
    """
    import av

    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *size_hw, "yuv420p"
        base = time_base or 1 / Fraction(rate)
        stream.codec_context.time_base = base
        if rotation:
            stream.set_display_rotation(rotation)
        track = None
        if audio is not None:
            track = container.add_stream(audio[0], rate=audio[1], layout="mono")
        for number in range(count):
            image = numbered_image(number, size_hw)
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
            frame.time_base = base
            frame.pts = times[number] if times is not None else number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None:
            wave = rising_tone(round(count / Fraction(rate) * audio[1]), audio[1])
            for begin in range(0, len(wave), 1024):
                part = av.AudioFrame.from_ndarray(wave[None, begin:begin + 1024], "s16", "mono")
                part.rate, part.time_base = audio[1], Fraction(1, audio[1])
                part.pts = begin + round(audio_delay * audio[1])
                container.mux(track.encode(part))
            container.mux(track.encode(None))
    return path


def rising_tone(samples: int, rate: int) -> np.ndarray:
    """int16, from 200 Hz, rising by 300 Hz per second."""
    seconds = np.arange(samples) / rate
    return (8000 * np.sin(2 * np.pi * (200 + 150 * seconds) * seconds)).astype(np.int16)


def read_audio(path: Path) -> tuple[np.ndarray, int, float]:
    """The audio samples of a file (mono float), the sample rate, and the time of the first."""
    import av

    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        # int16 or float32, planar or packed, which is the same for one channel.
        parts = [frame.to_ndarray().reshape(-1).astype(float) for frame in frames]
    sample_format = frames[0].format.name
    scale = 2**15 if "s16" in sample_format else 128 if "u8" in sample_format else 1
    first = float(frames[0].pts * frames[0].time_base)
    return np.concatenate(parts) / scale, frames[0].rate, first


def read_back(path: Path) -> tuple[list[int], list[Fraction]]:
    """The numbers and timestamps (seconds from the first) of a video, read with PyAV."""
    import av

    with av.open(str(path)) as container:
        frames = [
            (number_in(frame.to_ndarray(format="rgb24")), frame.pts * frame.time_base)
            for frame in container.decode(video=0)
        ]
    return [number for number, _ in frames], [at - frames[0][1] for _, at in frames]
