"""Every frame is written, in order, with its timestamp and its detections."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numbered_video import number_in, read_back, write_video

from detkit.errors import VideoError
from detkit.structures.detections import Detections
from detkit.video.pipeline import run_video


def box_at_number(images: list[np.ndarray]) -> list[Detections]:
    """A detector whose box has the frame number as its right side."""
    return [
        Detections(
            np.array([[0, 0, number_in(image), 1]], np.float32), np.ones(1, np.float32),
            np.zeros(1, np.int64), image.shape[:2],
        )
        for image in images
    ]


def no_detections(images: list[np.ndarray]) -> list[Detections]:
    return [Detections.empty(image.shape[:2]) for image in images]


def plain(image: np.ndarray, detections: Detections) -> np.ndarray:
    return image


UNEVEN = sorted({(n * n) % 977 for n in range(60)})[:40]


@pytest.mark.parametrize("count, batch_size, queue_size", [
    (1, 1, 1), (1, 4, 1), (97, 1, 1), (97, 4, 2), (96, 4, 4), (300, 7, 3),
], ids=str)
def test_all_frames_are_written_in_order_with_their_detections(
    tmp_path: Path, count: int, batch_size: int, queue_size: int
) -> None:
    source = write_video(tmp_path / "in.mp4", count)
    results = []
    report = run_video(
        box_at_number, source, tmp_path / "out.mp4", plain,
        batch_size=batch_size, queue_size=queue_size,
        on_frame=lambda index, seconds, detections: results.append(
            (index, round(seconds * 25), int(detections.boxes_xyxy[0, 2]))
        ),
    )
    assert results == [(n, n, n) for n in range(count)]
    assert read_back(tmp_path / "out.mp4") == read_back(source)
    assert read_back(source)[0] == list(range(count))
    assert (report.frames_in, report.frames_out) == (count, count)
    assert report.fps > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_uneven_timestamps_are_kept(tmp_path: Path, suffix: str) -> None:
    source = write_video(
        tmp_path / "in.mp4", len(UNEVEN), times=UNEVEN, time_base=Fraction(1, 50)
    )
    run_video(box_at_number, source, tmp_path / f"out{suffix}", plain)
    numbers, times = read_back(tmp_path / f"out{suffix}")
    assert numbers == list(range(len(UNEVEN)))
    assert times == [Fraction(tick - UNEVEN[0], 50) for tick in UNEVEN]


def test_drawn_images_are_written(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 20)

    def invert(image: np.ndarray, detections: Detections) -> np.ndarray:
        return 255 - image

    run_video(box_at_number, source, tmp_path / "out.mp4", invert)
    assert read_back(tmp_path / "out.mp4")[0] == [1023 - n for n in range(20)]


@pytest.mark.parametrize("rotation", [90, 180])
def test_rotated_video_is_written_upright_without_tag(tmp_path: Path, rotation: int) -> None:
    import av

    source = write_video(tmp_path / "in.mp4", 5, rotation=rotation)
    run_video(no_detections, source, tmp_path / "out.mp4", plain)
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == ((64, 160) if rotation == 90 else (160, 64))
    assert frame.rotation == 0


def test_existing_file_is_overwritten_only_with_force(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 5)
    out = tmp_path / "out.mp4"
    out.write_text("existing")
    with pytest.raises(VideoError, match="out.mp4: already exists"):
        run_video(box_at_number, source, out, plain)
    assert out.read_text() == "existing"
    run_video(box_at_number, source, out, plain, force=True)
    assert read_back(out)[0] == list(range(5))


def test_file_created_during_run_is_not_overwritten(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 5)
    out = tmp_path / "out.mp4"
    with pytest.raises(VideoError, match="out.mp4: already exists.*5 frames.*out.partial.mp4"):
        run_video(
            box_at_number, source, out, plain,
            on_frame=lambda index, seconds, detections: out.write_text("existing") and None,
        )
    assert out.read_text() == "existing"
    assert read_back(tmp_path / "out.partial.mp4")[0] == list(range(5))


def test_source_is_never_overwritten(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 5)
    with pytest.raises(VideoError, match="is the input video"):
        run_video(box_at_number, source, source, plain, force=True)
    assert read_back(source)[0] == list(range(5))


def test_output_folders_are_created(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 3)
    run_video(box_at_number, source, tmp_path / "a" / "b" / "out.mp4", plain)
    assert read_back(tmp_path / "a" / "b" / "out.mp4")[0] == [0, 1, 2]


def test_real_video_keeps_count_and_times(shared_data: Path, tmp_path: Path) -> None:
    import av

    source = shared_data / "video_dev" / "car-detection.mp4"
    report = run_video(no_detections, source, tmp_path / "out.mp4", plain, batch_size=4)
    assert (report.frames_in, report.frames_out) == (377, 377)  # its SOURCE.txt
    with av.open(str(source)) as before, av.open(str(tmp_path / "out.mp4")) as after:
        for old, new in zip(before.decode(video=0), after.decode(video=0), strict=True):
            assert old.pts * old.time_base == new.pts * new.time_base
