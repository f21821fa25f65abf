"""Errors: the pipeline ends soon, reports the cause, leaves no threads and keeps the frames."""

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numbered_video import read_back, write_video

from detkit.errors import VideoError
from detkit.structures.detections import Detections
from detkit.video.pipeline import VideoInterrupted, run_video

COUNT = 120


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("source") / "in.mp4", COUNT)


def no_detections(images: list[np.ndarray]) -> list[Detections]:
    return [Detections.empty(image.shape[:2]) for image in images]


def plain(image: np.ndarray, detections: Detections) -> np.ndarray:
    return image


class FailAt:
    """Forwards calls until the n-th, counted from 0, which raises."""

    def __init__(self, count: int, call, error: BaseException) -> None:
        self.remaining, self.call, self.error = count, call, error

    def __call__(self, *args):
        if self.remaining == 0:
            raise self.error
        self.remaining -= 1
        return self.call(*args)


BOOM = ZeroDivisionError("boom")


@pytest.mark.parametrize("number", [0, 1, 50, COUNT - 1])
@pytest.mark.parametrize("stage", ["detector", "drawing", "on_frame"])
def test_error_at_frame_n_keeps_previous_frames(
    tmp_path: Path, source: Path, stage: str, number: int
) -> None:
    calls = {"detector": no_detections, "drawing": plain, "on_frame": lambda *args: None}
    calls[stage] = FailAt(number, calls[stage], BOOM)
    with pytest.raises(VideoError, match="ZeroDivisionError: boom") as caught:
        run_video(
            calls["detector"], source, tmp_path / "out.mp4", calls["drawing"],
            on_frame=calls["on_frame"],
        )
    assert "\n" not in str(caught.value)
    if number == 0:
        assert "no frame could be kept" in str(caught.value)
        assert list(tmp_path.iterdir()) == []
    else:
        kept = tmp_path / "out.partial.mp4"
        assert f"the {number} frames that were done are kept in {kept}" in str(caught.value)
        assert read_back(kept)[0] == list(range(number))
        assert list(tmp_path.iterdir()) == [kept]


def test_original_error_is_the_cause(tmp_path: Path, source: Path) -> None:
    with pytest.raises(VideoError) as caught:
        run_video(FailAt(3, no_detections, BOOM), source, tmp_path / "out.mp4", plain)
    assert "frame 3: the model failed" in str(caught.value)
    assert caught.value.__cause__ is not None and caught.value.__cause__.__cause__ is BOOM


@pytest.mark.parametrize("detect, message", [
    (lambda images: [], "got 0, expected one for each of 4 frames"),
    (lambda images: no_detections(images * 2), "got 8, expected one for each of 4 frames"),
    (lambda images: None, "TypeError"),
], ids=["none", "too-many", "no-list"])
def test_wrong_number_of_predictions_is_reported(
    tmp_path: Path, source: Path, detect, message: str
) -> None:
    with pytest.raises(VideoError, match=message):
        run_video(detect, source, tmp_path / "out.mp4", plain, batch_size=4)


def test_drawn_image_of_wrong_size_is_rejected_by_writer(tmp_path: Path, source: Path) -> None:
    with pytest.raises(VideoError, match=r"frame 0: .*got shape \(32, 160, 3\)"):
        run_video(no_detections, source, tmp_path / "out.mp4", lambda image, detections: image[:32])


@pytest.mark.parametrize("batch_size", [1, 7])
def test_truncated_source_keeps_all_frames_read(tmp_path: Path, batch_size: int) -> None:
    full = write_video(tmp_path / "full.mp4", COUNT, options={"movflags": "faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(full.read_bytes()[:full.stat().st_size * 3 // 4])
    done = []
    with pytest.raises(VideoError, match="cut.mp4: .*truncated.*out.partial.mp4"):
        run_video(
            no_detections, cut, tmp_path / "out.mp4", plain, batch_size=batch_size,
            on_frame=lambda index, seconds, detections: done.append(index),
        )
    assert len(read_back(tmp_path / "out.partial.mp4")[0]) == len(done) > 10


@pytest.mark.parametrize("make", [
    lambda path: None, lambda path: path.write_bytes(b""), lambda path: path.write_text("text"),
], ids=["missing", "empty", "text"])
def test_invalid_source_leaves_no_files(tmp_path: Path, make) -> None:
    bad = tmp_path / "in.mp4"
    make(bad)
    with pytest.raises(VideoError, match="in.mp4"):
        run_video(no_detections, bad, tmp_path / "sub" / "out.mp4", plain)
    assert not (tmp_path / "sub").exists()


def test_unwritable_folder_is_reported_at_once(tmp_path: Path, source: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(VideoError, match="file/out.mp4: cannot be written"):
        run_video(FailAt(0, no_detections, BOOM), source, tmp_path / "file" / "out.mp4", plain)


def test_device_as_output_is_rejected(source: Path) -> None:
    with pytest.raises(VideoError):
        run_video(no_detections, source, "/dev/full", plain, force=True)


def test_existing_partial_file_is_kept(tmp_path: Path, source: Path) -> None:
    (tmp_path / "out.partial.mp4").write_text("earlier")
    with pytest.raises(VideoError, match="out.partial-2.mp4"):
        run_video(FailAt(5, no_detections, BOOM), source, tmp_path / "out.mp4", plain)
    assert (tmp_path / "out.partial.mp4").read_text() == "earlier"
    assert read_back(tmp_path / "out.partial-2.mp4")[0] == list(range(5))


def test_interrupt_keeps_frames_done(tmp_path: Path, source: Path) -> None:
    detect = FailAt(9, no_detections, KeyboardInterrupt())
    with pytest.raises(VideoInterrupted, match="the 9 frames"):
        run_video(detect, source, tmp_path / "out.mp4", plain)
    assert read_back(tmp_path / "out.partial.mp4")[0] == list(range(9))


CHILD = textwrap.dedent("""
    import sys, threading, time
    import numpy as np
    from detkit.errors import VideoError
    from detkit.structures.detections import Detections
    from detkit.video.pipeline import VideoInterrupted, run_video

    source, out, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])
    noise = np.random.default_rng(0)

    def detect(images):
        print("frame", flush=True)
        time.sleep(pause)
        return [Detections.empty(image.shape[:2]) for image in images]

    def draw(image, detections):
        return noise.integers(0, 256, image.shape, np.uint8) if pause == 0 else image

    try:
        run_video(detect, source, out, draw)
    except VideoInterrupted as stop:
        print("interrupted:", stop, file=sys.stderr)
        code = 130
    except VideoError as error:
        print("error:", error, file=sys.stderr)
        code = 2
    else:
        code = 0
    assert [thread.name for thread in threading.enumerate()] == ["MainThread"]
    sys.exit(code)
""")


def start_child(source: Path, out: Path, pause: float, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(source), str(out), str(pause)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )


def limit_file_size(size: int) -> None:
    """Writes beyond ``size`` bytes fail as on a full disk (EFBIG instead of ENOSPC)."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


# Noise takes about 9 kB per frame; a fragment is half a second.
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("size", [
    1_000, pytest.param(20_000, marks=pytest.mark.slow),
    pytest.param(400_000, marks=pytest.mark.slow), 765_432,
])
def test_file_size_limit_is_reported_and_keeps_frames(
    tmp_path: Path, source: Path, size: int, suffix: str
) -> None:
    child = start_child(source, tmp_path / f"out{suffix}", 0,
                        preexec_fn=lambda: limit_file_size(size))
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 2, errors
    assert f"out.partial{suffix}: cannot be written: got File too large" in errors
    assert len(errors.strip().splitlines()) == 1
    kept = tmp_path / f"out.partial{suffix}"
    if kept.exists():
        count = len(read_back(kept)[0])
        assert f"the {count} frames that were done are kept in {kept}" in errors and count > 0
    else:
        assert "no frame could be kept" in errors
        assert list(tmp_path.iterdir()) == []
    assert kept.exists() == (size >= 400_000) or suffix == ".mkv"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 600 kB, if the system allows to mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", str(folder)],
                          capture_output=True)
    if made.returncode:
        pytest.skip("a small disk can be mounted by root only")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_is_reported_and_keeps_frames(small_disk: Path, source: Path) -> None:
    child = start_child(source, small_disk / "out.mp4", 0)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 2, errors
    assert "out.partial.mp4: cannot be written: got No space left on device" in errors
    count = len(read_back(small_disk / "out.partial.mp4")[0])
    assert count > 10 and f"the {count} frames" in errors and len(errors.splitlines()) == 1


def test_killed_run_leaves_playable_video(tmp_path: Path, source: Path) -> None:
    child = start_child(source, tmp_path / "out.mp4", 0.02)
    for _ in range(60):
        assert child.stdout is not None and child.stdout.readline() == "frame\n"
    child.kill()
    child.communicate(timeout=60)
    numbers = read_back(tmp_path / "out.partial.mp4")[0]
    assert numbers == list(range(len(numbers))) and len(numbers) >= 25


@pytest.mark.parametrize("stage", ["detector", "drawing"])
def test_failed_run_ends_within_five_seconds(tmp_path: Path, stage: str) -> None:
    """From the error to the end of the run, with 300 frames of 640x480 in the file."""
    source = write_video(tmp_path / "in.mp4", 310, size_hw=(480, 640))
    failed_at = 0.0
    remaining = 300

    def fail(value):
        nonlocal failed_at, remaining
        remaining -= 1
        if remaining < 0:
            failed_at = failed_at or time.perf_counter()
            raise BOOM
        return value

    def predict(images: list[np.ndarray]) -> list[Detections]:
        return no_detections(fail(images) if stage == "detector" else images)

    with pytest.raises(VideoError, match="frame 300: .*boom; the 300 frames"):
        run_video(predict, source, tmp_path / "out.mp4",
                  lambda image, detections: fail(image) if stage == "drawing" else image, workers=1)
    assert time.perf_counter() - failed_at < 5
    assert read_back(tmp_path / "out.partial.mp4")[0] == list(range(300))


@pytest.mark.parametrize("content", ["noise", "zeros"])
def test_corrupt_frame_ends_run_with_its_index_and_keeps_previous_frames(
    tmp_path: Path, content: str
) -> None:
    import av

    source = write_video(tmp_path / "in.mp4", COUNT)
    with av.open(str(source)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0)]
    offset, size = packets[80]
    data = bytearray(source.read_bytes())
    bad = np.random.default_rng(0).bytes(size) if content == "noise" else bytes(size)
    data[offset + 5:offset + size] = bad[5:]
    source.write_bytes(data)
    with pytest.raises(VideoError, match=r"in.mp4: frame \d+ cannot be read; the file is damaged"
                                         r".*out.partial.mp4") as error_info:
        run_video(no_detections, source, tmp_path / "out.mp4", plain, workers=2)
    assert "\n" not in str(error_info.value)
    numbers = read_back(tmp_path / "out.partial.mp4")[0]
    # Frames are not stored in display order (x264: 3 B-frames in a row).
    assert numbers[:77] == list(range(77)) and f"the {len(numbers)} frames" in str(error_info.value)


def test_interrupt_ends_run_soon_and_keeps_frames(tmp_path: Path, source: Path) -> None:
    child = start_child(source, tmp_path / "out.mp4", 0.05)
    for _ in range(10):
        assert child.stdout is not None and child.stdout.readline() == "frame\n"
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)  # only a hang takes longer
    assert child.returncode == 130, errors
    assert errors.startswith("interrupted: the ") and "out.partial.mp4" in errors
    numbers = read_back(tmp_path / "out.partial.mp4")[0]
    assert numbers == list(range(len(numbers))) and 5 <= len(numbers) <= 40
