"""The sound of a video file, for the file that is written from its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from detkit.video.io.containers import cause_of, load_av, open_file

# What browsers play out of an mp4. FFmpeg would write more into it.
COPIED_INTO_MP4 = ("aac", "mp3", "opus", "flac")
ENCODER = "aac"
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)


class SoundTrack:
    """Takes the first sound stream of a file along: copied where the container holds its codec.

    Otherwise it is decoded and encoded as AAC. What sounds before the first picture is left
    out; damage ends the sound, not the video. `join` comes first, then `until`.

    Args:
        file: a video file with sound.
        start: the first picture's time on the file's clock, in seconds.
        out_format: FFmpeg's name of the container that is written, as 'mp4'.

    Attributes:
        begins_with_pictures: whether its first packet will have the time 0.
        fault: why the sound is left out, or ends early; None when all is well.

    Raises:
        VideoError: the file cannot be opened.
        ValueError: FFmpeg has no decoder for the sound.
        IndexError: there is no sound.
    """

    def __init__(self, file: Path, start: Fraction, out_format: str) -> None:
        self._av: Any = load_av()
        self._start = start
        self._container: Any = open_file(file, str(file))
        self._source: Any = self._container.streams.audio[0]
        self.fault: str | None = None
        if self._source.codec_context is None:
            self._container.close()
            raise ValueError("its codec is not known")
        codec = self._source.codec_context.codec.canonical_name
        self._copy = (
            out_format == "matroska" or codec in COPIED_INTO_MP4
            or (out_format == "mov" and codec.startswith("pcm_"))
        )
        self._packets: Iterator[Any] = iter(())
        self._waiting: Any = None
        if self._copy:
            self._packets = self._copied()
            self._waiting = self._next()
        self.begins_with_pictures = self._waiting is not None and self._waiting.pts == 0

    def join(self, out: Any) -> None:
        """Add the stream to PyAV's output container, before anything is written to that."""
        if self._copy and self._source.codec_context.codec.canonical_name in out.supported_codecs:
            self._stream: Any = out.add_stream_from_template(self._source)
            return
        source = self._source.codec_context
        rate = source.sample_rate if source.sample_rate in AAC_RATES else 48000
        layout = "mono" if source.channels == 1 else "stereo"
        self._stream = out.add_stream(ENCODER, rate=rate, layout=layout)
        self._container.seek(0)
        self._packets, self._waiting = self._encoded(rate, layout), None

    def until(self, seconds: Fraction | float | None) -> Iterator[Any]:
        """The packets not yet given that begin before ``seconds``; all that are left for None."""
        while True:
            if self._waiting is None:
                self._waiting = self._next()
            packet = self._waiting
            if packet is None:
                return
            if seconds is not None and packet.pts * packet.time_base >= seconds:
                return
            self._waiting = None
            packet.stream = self._stream
            yield packet

    def end(self, fault: str) -> None:
        """Give no more packets, for the reason ``fault``."""
        self.fault = fault
        self._packets, self._waiting = iter(()), None

    def close(self) -> None:
        """Let the file go; may be called twice."""
        self._container.close()

    def _next(self) -> Any:
        try:
            return next(self._packets, None)
        except (self._av.error.FFmpegError, OSError, ValueError) as error:
            self.fault = cause_of(error)
            return None

    def _copied(self) -> Iterator[Any]:
        shift = round(self._start / self._source.time_base)
        for packet in self._container.demux(self._source):
            if packet.size and packet.pts is not None and packet.pts >= shift:
                packet.pts -= shift
                packet.dts = packet.pts
                yield packet

    def _encoded(self, rate: int, layout: str) -> Iterator[Any]:
        resampler = self._av.AudioResampler(format="fltp", layout=layout, rate=rate)
        for frame in self._container.decode(self._source):
            if frame.pts is None or frame.pts * frame.time_base < self._start:
                continue
            frame.pts -= round(self._start / frame.time_base)
            for part in resampler.resample(frame):
                yield from self._stream.encode(part)
        for part in resampler.resample(None):
            yield from self._stream.encode(part)
        yield from self._stream.encode(None)
