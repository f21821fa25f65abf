"""Folders of images as videos."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numbered_video import number_in, numbered_image, read_back
from PIL import Image

from detkit.errors import VideoError
from detkit.structures.detections import Detections
from detkit.video.io.frame_folder import FrameFolder, natural_sort_key
from detkit.video.pipeline import run_video


def no_detections(images: list[np.ndarray]) -> list[Detections]:
    return [Detections.empty(image.shape[:2]) for image in images]


def save(folder: Path, name: str, number: int, size_hw: tuple[int, int] = (64, 160)) -> None:
    folder.mkdir(exist_ok=True)
    Image.fromarray(numbered_image(number, size_hw)).save(folder / name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """f1.png ... f12.png, and files that are not frames."""
    for number in range(12):
        save(tmp_path / "frames", f"f{number + 1}.png", number)
    (tmp_path / "frames" / "notes.txt").write_text("not an image")
    (tmp_path / "frames" / ".hidden.png").write_text("not an image")
    (tmp_path / "frames" / "more").mkdir()
    return tmp_path / "frames"


def test_images_come_in_natural_order_at_given_fps(folder: Path) -> None:
    source = FrameFolder(folder, Fraction(10))
    frames = list(source)
    assert [number_in(frame.image) for frame in frames] == list(range(12))
    assert [frame.pts * source.info.time_base for frame in frames] == [
        Fraction(n, 10) for n in range(12)]
    assert (source.info.size_hw, source.info.frame_count, source.count) == ((64, 160), 12, 12)
    assert not source.live and source.audio is None


@pytest.mark.parametrize("names", [
    [], ["a"], ["f9.png", "f10.png", "f100.png"], ["a1b2", "a1b10", "a2b1"],
    ["2.png", "10.png", "x.png"], ["f007.png", "f8.png"],
], ids=str)
def test_natural_order(names: list[str]) -> None:
    assert sorted(reversed(names), key=natural_sort_key) == names


def test_folder_is_written_as_video(folder: Path, tmp_path: Path) -> None:
    report = run_video(no_detections, folder, tmp_path / "out.mp4", None, fps=Fraction(30000, 1001))
    numbers, times = read_back(tmp_path / "out.mp4")
    assert numbers == list(range(12)) and report.frames_out == 12
    assert times == [n * Fraction(1001, 30000) for n in range(12)]


def test_image_of_other_size_ends_run_and_keeps_previous_frames(
    folder: Path, tmp_path: Path
) -> None:
    save(folder, "f8.png", 7, (32, 160))
    with pytest.raises(VideoError, match=r"f8.png: .*got 160x32, expected 160x64, as 'f1.png'.*"
                                         r"the 7 frames"):
        run_video(no_detections, folder, tmp_path / "out.mp4", None)
    assert read_back(tmp_path / "out.partial.mp4")[0] == list(range(7))


def test_unreadable_image_ends_run_with_its_name(folder: Path, tmp_path: Path) -> None:
    (folder / "f4.png").write_bytes((folder / "f4.png").read_bytes()[:60])
    with pytest.raises(VideoError, match="f4.png: .*the 3 frames"):
        run_video(no_detections, folder, tmp_path / "out.mp4", None)


def test_folder_without_images_is_reported(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="contains no images: got 0 other files"):
        FrameFolder(tmp_path)
