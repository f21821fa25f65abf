"""Missing frames are counted and reported."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numbered_video import number_in, write_video

from detkit.structures.detections import Detections
from detkit.video.io.frame_folder import FrameFolder
from detkit.video.io.missing_frames import LostFrames
from detkit.video.io.reader import VideoReader
from detkit.video.pipeline import run_video

TS_PACKET = 188


@dataclass
class Packet:
    """The attributes of PyAV's packets that are used."""

    pts: int | None
    size: int = 100
    is_corrupt: bool = False
    is_discard: bool = False


def read(path: Path) -> tuple[list[int], tuple[str, ...]]:
    reader = VideoReader(path)
    numbers = [number_in(frame.image) for frame in reader]
    reader.close()
    return numbers, reader.notes


@pytest.mark.parametrize("name, options", [
    ("a.mp4", {}), ("a.mkv", {}), ("a.ts", {}),
    ("slow.mp4", {"times": [0, 1, 5, 6, 30, 31, 40, 41, 90, 100], "time_base": Fraction(1, 30)}),
], ids=["mp4", "mkv", "ts", "uneven-times"])
def test_intact_file_has_no_notes(tmp_path: Path, name: str, options: dict) -> None:
    assert read(write_video(tmp_path / name, 10, **options)) == (list(range(10)), ())


def test_missing_frame_is_reported_with_its_time(tmp_path: Path) -> None:
    # At 25 frames per second, frame 7 would be at 0.28 s.
    path = write_video(tmp_path / "a.mkv", 19, times=[n for n in range(20) if n != 7])
    reader = VideoReader(path)
    assert sum(1 for _ in reader) == 19
    assert len(reader.notes) == 1
    assert "a.mkv: 1 frame is missing" in reader.notes[0] and "0.28 s" in reader.notes[0]


def test_frames_before_the_first_key_frame_are_counted(tmp_path: Path) -> None:
    data = write_video(tmp_path / "full.ts", 40, codec="mpeg2video").read_bytes()
    (tmp_path / "late.ts").write_bytes(data[len(data) // 5 // TS_PACKET * TS_PACKET:])
    numbers, notes = read(tmp_path / "late.ts")
    # mpeg2video has a key frame every 12 frames; the key frame of the first frames is missing.
    assert numbers == list(range(12, 40)) or numbers == list(range(24, 40))
    assert len(notes) == 1 and "skipped at the beginning" in notes[0]


def test_damaged_recording_is_reported(shared_cases: Path) -> None:
    reader = VideoReader(shared_cases / "video" / "damaged.ts")
    # The seventh of twelve frames at 10 fps is lost; ts.ts is the same without damage.
    assert sum(1 for _ in reader) == 11
    assert "damaged packets" in reader.notes[0]
    assert "1 frame is missing" in reader.notes[1] and "0.60 s" in reader.notes[1]


def test_run_passes_on_notes_of_damaged_video(shared_cases: Path) -> None:
    def predict(images: list[np.ndarray]) -> list[Detections]:
        return [Detections.empty(image.shape[:2]) for image in images]

    report = run_video(predict, shared_cases / "video" / "damaged.ts", None, None)
    assert report.frames_in == 11 and len(report.notes) == 2


@pytest.mark.parametrize("declared, discarded, reported", [
    (None, 0, False), (3, 0, False), (2, 0, False), (5, 0, True), (5, 2, False), (5, 1, True),
], ids=["not-declared", "all", "more", "fewer", "trimmed", "trimmed-and-fewer"])
def test_fewer_frames_than_declared_is_reported(
    declared: int | None, discarded: int, reported: bool
) -> None:
    lost = LostFrames()
    for pts in range(discarded):
        lost.add_packet(Packet(pts, is_discard=True))
    for pts in range(3):
        lost.add_packet(Packet(discarded + pts))
        lost.add_frame(discarded + pts, 1)
    notes = lost.notes(3, declared, Fraction(1, 25))
    assert bool(notes) == reported
    if reported:
        assert f"3 of {declared - discarded} declared frames" in notes[0]


def test_frame_without_timestamp_is_not_a_gap() -> None:
    lost = LostFrames()
    for pts in (None, 0, None, 1, 2):
        lost.add_frame(pts, 1)
    assert lost.notes(5, None, Fraction(1, 25)) == []


def test_image_folder_lists_skipped_files(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("f1.png", "f2.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    assert FrameFolder(tmp_path).notes == ()
    (tmp_path / "f3.heic").write_bytes(b"x")
    (tmp_path / ".hidden").write_bytes(b"x")
    folder = FrameFolder(tmp_path)
    assert folder.info.frame_count == 2
    assert len(folder.notes) == 1 and "f3.heic" in folder.notes[0]
    assert "hidden" not in folder.notes[0]
