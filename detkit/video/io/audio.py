"""Copies or re-encodes the audio of a video file for the output file."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from detkit.video.io.containers import error_reason, load_av, open_file

# Codecs that browsers play in an mp4; FFmpeg can write more codecs to it.
MP4_COPY_CODECS = ("aac", "mp3", "opus", "flac")
ENCODER = "aac"
AAC_SAMPLE_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025,
                    8000)


class AudioTrack:
    """The first audio stream of a file: copied if the output container supports its codec.

    Otherwise it is decoded and encoded as AAC. Audio before the first video frame is dropped. If
    the audio is damaged, it ends early, and the video does not. Call `add_to_container` before
    `packets_until`.

    Args:
        file: a video file with audio.
        start: the timestamp of the first video frame in the file, in seconds.
        out_format: FFmpeg's name of the output container, such as 'mp4'.

    Attributes:
        starts_with_video: whether the timestamp of its first packet is 0.
        error: why the audio is missing or ends early; None if it is complete.

    Raises:
        VideoError: the file cannot be opened.
        ValueError: FFmpeg has no decoder for the audio.
        IndexError: there is no audio stream.
    """

    def __init__(self, file: Path, start: Fraction, out_format: str) -> None:
        self._av: Any = load_av()
        self._start = start
        self._container: Any = open_file(file, str(file))
        self._source: Any = self._container.streams.audio[0]
        self.error: str | None = None
        if self._source.codec_context is None:
            self._container.close()
            raise ValueError("unknown codec")
        codec = self._source.codec_context.codec.canonical_name
        self._copy = (
            out_format == "matroska" or codec in MP4_COPY_CODECS
            or (out_format == "mov" and codec.startswith("pcm_"))
        )
        self._packets: Iterator[Any] = iter(())
        self._pending_packet: Any = None
        if self._copy:
            self._packets = self._copy_packets()
            self._pending_packet = self._next()
        self.starts_with_video = self._pending_packet is not None and self._pending_packet.pts == 0

    def add_to_container(self, out: Any) -> None:
        """Add the stream to PyAV's output container, before anything is written to it."""
        if self._copy and self._source.codec_context.codec.canonical_name in out.supported_codecs:
            self._stream: Any = out.add_stream_from_template(self._source)
            return
        source = self._source.codec_context
        rate = source.sample_rate if source.sample_rate in AAC_SAMPLE_RATES else 48000
        layout = "mono" if source.channels == 1 else "stereo"
        self._stream = out.add_stream(ENCODER, rate=rate, layout=layout)
        self._container.seek(0)
        self._packets, self._pending_packet = self._encode_packets(rate, layout), None

    def packets_until(self, timestamp_s: Fraction | float | None) -> Iterator[Any]:
        """The next packets that start before ``timestamp_s``; all remaining packets for None."""
        while True:
            if self._pending_packet is None:
                self._pending_packet = self._next()
            packet = self._pending_packet
            if packet is None:
                return
            if timestamp_s is not None and packet.pts * packet.time_base >= timestamp_s:
                return
            self._pending_packet = None
            packet.stream = self._stream
            yield packet

    def end(self, error: str) -> None:
        """Yield no more packets, because of ``error``."""
        self.error = error
        self._packets, self._pending_packet = iter(()), None

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._container.close()

    def _next(self) -> Any:
        try:
            return next(self._packets, None)
        except (self._av.error.FFmpegError, OSError, ValueError) as error:
            self.error = error_reason(error)
            return None

    def _copy_packets(self) -> Iterator[Any]:
        shift = round(self._start / self._source.time_base)
        for packet in self._container.demux(self._source):
            if packet.size and packet.pts is not None and packet.pts >= shift:
                packet.pts -= shift
                packet.dts = packet.pts
                yield packet

    def _encode_packets(self, rate: int, layout: str) -> Iterator[Any]:
        resampler = self._av.AudioResampler(format="fltp", layout=layout, rate=rate)
        for frame in self._container.decode(self._source):
            if frame.pts is None or frame.pts * frame.time_base < self._start:
                continue
            frame.pts -= round(self._start / frame.time_base)
            for resampled in resampler.resample(frame):
                yield from self._stream.encode(resampled)
        for resampled in resampler.resample(None):
            yield from self._stream.encode(resampled)
        yield from self._stream.encode(None)
