"""The video encoders, and which of them the installed PyAV has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from detkit.errors import VideoError
from detkit.video.io.containers import load_av

AUTO = "auto"


@dataclass(frozen=True)
class Encoder:
    """An encoder of FFmpeg that writes one packet per frame.

    Args:
        name: FFmpeg's name.
        options: returns the options of its context, from x264's preset and crf and whether the
            run is live.
        min_time_base: the shortest time base that its format supports, in seconds.
        supports_preset: whether it uses ``preset``.
        unsupported_suffixes: suffixes of containers that do not support its codec.
    """

    name: str
    options: Callable[[str, int, bool], dict[str, str]]
    min_time_base: Fraction
    supports_preset: bool = False
    unsupported_suffixes: tuple[str, ...] = ()


def _x264(preset: str, crf: int, live: bool) -> dict[str, str]:
    return {"preset": preset, "crf": str(crf), **({"tune": "zerolatency"} if live else {})}


def _vp9(preset: str, crf: int, live: bool) -> dict[str, str]:
    # crf 24 of VP9 has the same error as 23 of x264; no lag between input and output frames.
    return {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "8", "row-mt": "1",
            "lag-in-frames": "0"}


def _mpeg4(preset: str, crf: int, live: bool) -> dict[str, str]:
    return {"qmin": "3", "qmax": "3"}


# 'auto' uses the first that the installed PyAV has and the container supports.
ENCODERS = {encoder.name: encoder for encoder in (
    # The time base of an mp4 is 1/n s with n in 32 bits; microseconds are enough.
    Encoder("libx264", _x264, Fraction(1, 1_000_000), supports_preset=True),
    Encoder("libvpx-vp9", _vp9, Fraction(1, 1_000_000), unsupported_suffixes=(".mov",)),
    # Its header has 16 bits for ticks per second (ISO/IEC 14496-2, 6.3.3).
    Encoder("mpeg4", _mpeg4, Fraction(1, 65_535)),
)}


def choose_encoder(name: str, suffix: str) -> Encoder:
    """The encoder ``name``, or for 'auto' the first that can be used.

    Args:
        name: 'auto' or one of ``ENCODERS``.
        suffix: of the output file, such as '.mp4'.

    Raises:
        VideoError: the installed PyAV does not have it, or the container does not support it.
        MissingExtraError: PyAV is not installed.
    """
    suffix = suffix.lower()
    if name == AUTO:
        for encoder in ENCODERS.values():
            if suffix not in encoder.unsupported_suffixes and is_available(encoder.name):
                return encoder
        raise VideoError(
            f"no encoder for a {suffix} file in the installed PyAV",
            expected=f"one of {', '.join(ENCODERS)}",
            hint="choose another suffix for --out, or install PyAV from its wheel: "
            "pip install av")
    if name not in ENCODERS:
        raise VideoError("unknown encoder", got=f"'{name}'",
                         expected=f"{AUTO} or one of {', '.join(ENCODERS)}")
    if not is_available(name):
        available = [other for other in ENCODERS if is_available(other)]
        raise VideoError(f"--encoder {name}: the installed PyAV was built without it",
                         expected=f"one of {', '.join(available)}" if available else None)
    if suffix in ENCODERS[name].unsupported_suffixes:
        raise VideoError(f"--encoder {name}: not supported by {suffix} files",
                         hint="use an .mp4 or .mkv file for --out")
    return ENCODERS[name]


def is_available(name: str) -> bool:
    """Whether the installed PyAV has the encoder.

    Raises:
        MissingExtraError: PyAV is not installed.
    """
    av: Any = load_av()
    try:
        av.codec.Codec(name, "w")
    except (ValueError, av.error.FFmpegError):  # av.codec.UnknownCodecError is a ValueError
        return False
    return True
