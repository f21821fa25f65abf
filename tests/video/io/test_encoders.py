"""Every encoder writes a playable file; PyAV without x264 is supported."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numbered_video import number_in, numbered_image, read_back, write_video

from detkit.cli.main import run_command
from detkit.errors import VideoError
from detkit.structures.detections import Detections
from detkit.video.io import encoders
from detkit.video.io.encoders import ENCODERS, choose_encoder
from detkit.video.io.frame import Frame, VideoInfo
from detkit.video.io.writer import VideoWriter
from detkit.video.pipeline import run_video

CODECS = {"libx264": "h264", "libvpx-vp9": "vp9", "mpeg4": "mpeg4"}


def no_detections(images: list[np.ndarray]) -> list[Detections]:
    return [Detections.empty(image.shape[:2]) for image in images]


@pytest.fixture
def without_x264(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PyAV that was built without GPL libraries."""
    original = encoders.is_available
    monkeypatch.setattr(encoders, "is_available",
                        lambda name: "x264" not in name and original(name))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("live", [False, True], ids=["file", "live"])
@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("time_base", [Fraction(1, 25), Fraction(1, 90_000)], ids=str)
def test_every_encoder_keeps_frames_and_timestamps(
    tmp_path: Path, name: str, suffix: str, live: bool, time_base: Fraction
) -> None:
    import av

    if suffix in ENCODERS[name].unsupported_suffixes:
        return
    images = [numbered_image(number) for number in range(30)]
    images = [np.where(image == 128, np.uint8([200, 120, 40]), image) for image in images]
    path, step = tmp_path / f"a{suffix}", round(Fraction(1, 25) / time_base)
    info = VideoInfo((64, 160), time_base, Fraction(25), None, Fraction(1), False)
    writer = VideoWriter(path, info, encoder=name, live=live)
    for number, image in enumerate(images):
        writer.add(Frame(number, image, number * step, step))
    writer.close()
    assert writer.count == 30 and writer.encoder_note is None
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name in (CODECS[name], "libvpx-vp9")
        frames = [(frame.pts * frame.time_base, frame.to_ndarray(format="rgb24"))
                  for frame in container.decode(video=0)]
    assert [number_in(image) for _, image in frames] == list(range(30))
    # Matroska timestamps are in milliseconds.
    assert [float(at) for at, _ in frames] == pytest.approx([n / 25 for n in range(30)], abs=5e-4)
    # The area below the blocks has one color, which tests the color matrix.
    errors = [np.abs(image[24:].astype(int) - (200, 120, 40)).mean() for _, image in frames]
    assert max(errors) < 6


@pytest.mark.parametrize("suffix, expected", [(".mp4", "libvpx-vp9"), (".mkv", "libvpx-vp9"),
                                              (".mov", "mpeg4")])
def test_auto_falls_back_without_x264_and_reports_it(
    tmp_path: Path, without_x264: None, suffix: str, expected: str
) -> None:
    source = write_video(tmp_path / "a.mp4", 12)
    report = run_video(no_detections, source, tmp_path / f"out{suffix}", None)
    assert [note for note in report.notes if "no libx264" in note and expected in note]
    assert read_back(tmp_path / f"out{suffix}")[0] == list(range(12))


def test_auto_uses_x264_if_available(tmp_path: Path) -> None:
    assert choose_encoder("auto", ".MP4").name == "libx264"


@pytest.mark.parametrize("name, suffix, message", [
    ("libx264", ".mp4", "--encoder libx264: .*built without it: expected one of libvpx-vp9, mpeg4"),
    ("libvpx-vp9", ".mov", "--encoder libvpx-vp9: not supported by .mov files"),
    ("h265", ".mp4", "got 'h265', expected auto or one of libx264"),
])
def test_unusable_encoder_is_reported(
    without_x264: None, name: str, suffix: str, message: str
) -> None:
    with pytest.raises(VideoError, match=message):
        choose_encoder(name, suffix)


def test_preset_without_x264_is_rejected_early(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_video(tmp_path / "clip.mp4", 3)
    assert run_command("video", [
        "no-such.pth",
        str(clip), "--out",
        str(tmp_path / "out.mp4"), "--encoder", "mpeg4", "--preset", "medium"
    ]) == 2
    error = capsys.readouterr().err
    assert "--preset medium: applies to libx264, and the encoder is mpeg4" in error
