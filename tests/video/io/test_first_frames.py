"""The first frames of a source: at most the given count, from memory for a live source."""

import time
from fractions import Fraction

import numpy as np
import pytest
from numbered_video import number_in, write_video

from detkit.errors import VideoError
from detkit.video.io.first_frames import FirstFrames
from detkit.video.io.frame import Frame, VideoInfo
from detkit.video.io.reader import VideoReader


def test_count_below_one_is_rejected(tmp_path):
    reader = VideoReader(write_video(tmp_path / "a.mp4", 3))
    with pytest.raises(ValueError, match="count: got 0"):
        FirstFrames(reader, 0)
    reader.close()


@pytest.mark.parametrize("limit, expected", [(1, 1), (5, 5), (12, 12), (99, 12)])
def test_yields_at_most_count_frames(tmp_path, limit, expected):
    first = FirstFrames(VideoReader(write_video(tmp_path / "a.mp4", 12)), limit)
    assert [number_in(frame.image) for frame in first] == list(range(expected))
    assert first.count == expected
    assert first.info.frame_count is None and first.audio is None and not first.live
    first.close()


def test_damaged_file_ends_early_and_source_without_frames_raises(tmp_path):
    first = FirstFrames(VideoReader(truncate(write_video(tmp_path / "a.mkv", 60))), 64)
    assert 0 < len(list(first)) < 60
    first.close()
    with pytest.raises(VideoError, match="no frame"):
        list(FirstFrames(BrokenCamera(), 64))


def truncate(path):
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    return path


class Camera:
    """A live source with a frame every 20 ms, without an end."""

    name, live, audio, audio_start = "camera", True, None, Fraction(0)

    def __init__(self, size_hw=(4, 4)):
        self.info = VideoInfo(size_hw, Fraction(1, 50), Fraction(50), None, Fraction(1), False)
        self.count, self.closed = 0, False

    def __iter__(self):
        while True:
            time.sleep(0.02)
            yield Frame(self.count, np.zeros((*self.info.size_hw, 3), np.uint8), self.count, 1)
            self.count += 1

    def close(self):
        self.closed = True


class BrokenCamera(Camera):
    """Fails before its first frame."""

    def __iter__(self):
        raise VideoError("no frame")


def test_live_source_is_buffered_first():
    camera = Camera()
    first = FirstFrames(camera, 5)
    begun = time.perf_counter()
    assert [frame.index for frame in first] == [0, 1, 2, 3, 4]
    assert time.perf_counter() - begun < 0.1  # the camera takes 0.1 s for five frames
    first.close()
    assert camera.closed


def test_live_buffer_holds_fewer_large_frames():
    # 3 * 4000 * 5000 is 60 MB: three of them are below 200 MB.
    assert len(list(FirstFrames(Camera((4000, 5000)), 64))) == 3
