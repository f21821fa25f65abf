"""Audio is copied or re-encoded and stays in sync."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numbered_video import read_audio, read_back, rising_tone, write_video

from detkit.structures.detections import Detections
from detkit.video.pipeline import run_video

RATE = 48000


def no_detections(images: list[np.ndarray]) -> list[Detections]:
    return [Detections.empty(image.shape[:2]) for image in images]


def run(source: Path, out: Path, **options):
    return run_video(no_detections, source, out, None, **options)


def codecs(path: Path) -> list[str]:
    import av

    with av.open(str(path)) as container:
        return [stream.codec_context.codec.canonical_name for stream in container.streams]


def delay_of(path: Path, delay: float = 0.0) -> float:
    """The delay of the rising tone in a file, in seconds, by cross-correlation."""
    samples, rate, first = read_audio(path)
    middle = len(samples) // 2
    piece = samples[middle - 2000:middle + 2000]
    tone = rising_tone(len(samples) + 8000, rate) / 32768
    correlation = np.correlate(tone, piece, "valid")
    assert correlation.max() > 0.9 * np.dot(piece, piece)
    return first + (middle - 2000 - int(correlation.argmax())) / rate - delay


@pytest.mark.parametrize("codec, suffix, out_suffix, kept", [
    ("aac", ".mp4", ".mp4", "aac"),
    ("aac", ".mp4", ".mkv", "aac"),
    ("mp3", ".mp4", ".mp4", "mp3"),
    ("libopus", ".mkv", ".mp4", "opus"),
    ("flac", ".mkv", ".mkv", "flac"),
    ("pcm_s16le", ".mkv", ".mkv", "pcm_s16le"),
    ("pcm_s16le", ".mkv", ".mov", "pcm_s16le"),
    ("pcm_s16le", ".mkv", ".mp4", "aac"),
    ("ac3", ".mkv", ".mkv", "ac3"),
    ("ac3", ".mkv", ".mp4", "aac"),
], ids=lambda value: value)
def test_audio_is_copied_if_container_allows_else_encoded(
    tmp_path: Path, codec: str, suffix: str, out_suffix: str, kept: str
) -> None:
    source = write_video(tmp_path / f"in{suffix}", 75, audio=(codec, RATE))
    out = tmp_path / f"out{out_suffix}"
    report = run(source, out)
    assert codecs(out) == ["h264", kept]
    assert report.notes == ()
    assert read_back(out) == (list(range(75)), [Fraction(n, 25) for n in range(75)])
    samples, rate, _ = read_audio(out)
    assert rate == RATE and len(samples) / rate == pytest.approx(3.0, abs=0.06)
    # The first frame of an encoder is silence, which not all containers declare.
    assert delay_of(out) == pytest.approx(delay_of(source), abs=0.03)


@pytest.mark.parametrize("preset", ["ultrafast", "veryfast"])
@pytest.mark.parametrize("count", [40, 75])
def test_delayed_audio_keeps_its_delay(tmp_path: Path, count: int, preset: str) -> None:
    source = write_video(tmp_path / "in.mp4", count, audio=("aac", RATE), audio_delay=1.0)
    run(source, tmp_path / "out.mp4", preset=preset)
    assert delay_of(tmp_path / "out.mp4", delay=1.0) == pytest.approx(0, abs=0.03)
    assert read_back(tmp_path / "out.mp4") == (
        list(range(count)), [Fraction(n, 25) for n in range(count)])


@pytest.mark.parametrize("count", [1, 13, 40, 75])
def test_reordered_frames_stay_in_sync_with_audio(tmp_path: Path, count: int) -> None:
    import av

    source = write_video(tmp_path / "in.mp4", count, audio=("aac", RATE))
    run(source, tmp_path / "out.mp4", preset="veryfast")
    assert read_back(tmp_path / "out.mp4")[0] == list(range(count))
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).time == 0.0
    if count == 75:
        assert delay_of(tmp_path / "out.mp4") == pytest.approx(0, abs=0.03)


def test_delayed_video_shifts_audio(tmp_path: Path) -> None:
    """Video starts at 2 s in the source; the output starts with the first frame."""
    times = list(range(50, 125))
    source = write_video(tmp_path / "in.mkv", 75, times=times, time_base=Fraction(1, 25),
                         audio=("aac", RATE), audio_delay=1.0)
    run(source, tmp_path / "out.mp4")
    # The tone starts one second before the first frame.
    assert delay_of(tmp_path / "out.mp4", delay=-1.0) == pytest.approx(0, abs=0.03)


def test_copied_audio_is_identical(shared_data: Path, tmp_path: Path) -> None:
    import av

    source = shared_data / "video_dev" / "car-detection.mp4"
    run(source, tmp_path / "out.mp4")
    packets = []
    for path in (source, tmp_path / "out.mp4"):
        with av.open(str(path)) as container:
            packets.append({
                packet.pts: bytes(packet)
                for packet in container.demux(audio=0) if packet.size and packet.pts >= 0
            })
    assert packets[0] == packets[1] and len(packets[0]) > 1000


def test_audio_can_be_disabled(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 10, audio=("aac", RATE))
    run(source, tmp_path / "out.mp4", audio=False)
    assert codecs(tmp_path / "out.mp4") == ["h264"]


def test_audio_ends_with_last_written_frame(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 100, audio=("aac", RATE))
    remaining = 50

    def fail_after_50(image: np.ndarray, detections: Detections) -> np.ndarray:
        nonlocal remaining
        remaining -= 1
        if remaining < 0:
            raise ZeroDivisionError
        return image

    with pytest.raises(Exception, match="the 50 frames"):
        run_video(no_detections, source, tmp_path / "out.mp4", fail_after_50)
    samples, rate, _ = read_audio(tmp_path / "out.partial.mp4")
    assert len(samples) / rate == pytest.approx(2.0, abs=0.06)


def test_damaged_audio_keeps_all_frames_and_is_reported(tmp_path: Path) -> None:
    import av

    source = write_video(tmp_path / "in.mkv", 75, audio=("ac3", RATE))
    with av.open(str(source)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    data = bytearray(source.read_bytes())
    offsets = [(data.index(piece), len(piece)) for piece in packets]
    for offset, size in offsets[len(offsets) // 2:]:
        data[offset:offset + size] = bytes(size)
    source.write_bytes(data)
    report = run(source, tmp_path / "out.mp4")
    assert read_back(tmp_path / "out.mp4")[0] == list(range(75))
    note, = report.notes
    assert "in.mkv: the audio could not be copied to its end: " in note


def test_undecodable_audio_is_left_out_and_reported(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mov", 12, codec="mpeg4", audio=("pcm_s16le", 44100))
    data = source.read_bytes()
    assert data.count(b"sowt") == 1
    source.write_bytes(data.replace(b"sowt", b"zzzz"))
    report = run_video(no_detections, source, tmp_path / "out.mp4", None)
    assert report.frames_out == 12
    assert any("audio could not be copied" in note for note in report.notes)


def test_damaged_audio_ends_audio_but_not_video(tmp_path: Path) -> None:
    """Each AAC packet in a transport stream starts with ff f1 (ISO/IEC 13818-7, 6.2)."""
    source = write_video(tmp_path / "a.ts", 50, audio=("aac", 44100))
    data = source.read_bytes()
    offset = data.index(b"\xff\xf1", len(data) // 2)
    source.write_bytes(data[:offset] + b"\x00\x00" + data[offset + 2:])
    report = run_video(no_detections, source, tmp_path / "out.mp4", None)
    assert report.frames_out == 50
    assert any("audio could not be copied to its end" in note for note in report.notes)
