"""Frames of files, compared with PyAV and OpenCV."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numbered_video import number_in, read_back, write_video

from detkit.errors import VideoError
from detkit.video.io.reader import VideoReader

THIRTY = Fraction(1, 30)
UNEVEN = [0, 1, 5, 6, 30, 31, 40, 41, 90, 100]


def test_frames_are_in_order_with_timestamps(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 10, times=UNEVEN, time_base=THIRTY)
    reader = VideoReader(path)
    frames = list(reader)
    reader.close()
    assert [number_in(frame.image) for frame in frames] == list(range(10))
    assert [frame.index for frame in frames] == list(range(10))
    assert [frame.pts * reader.info.time_base for frame in frames] == [
        time * THIRTY for time in UNEVEN
    ]
    assert reader.info.frame_count == 10


def test_timestamps_start_at_zero(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts", 5, times=[100, 101, 102, 103, 104], time_base=THIRTY)
    reader = VideoReader(path)
    assert [frame.pts * reader.info.time_base for frame in reader] == [n * THIRTY for n in range(5)]


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_rotated_videos_match_opencv(tmp_path: Path, rotation: int) -> None:
    import cv2

    path = write_video(tmp_path / "phone.mp4", 2, rotation=rotation)
    reader = VideoReader(path)
    image = next(iter(reader)).image
    opencv_image = cv2.VideoCapture(str(path)).read()[1][..., ::-1]
    assert image.shape[:2] == opencv_image.shape[:2] == reader.info.size_hw
    assert np.abs(image.astype(int) - opencv_image).max() <= 1


def test_color_matrix_of_file_is_used(tmp_path: Path) -> None:
    import av

    orange = np.full((64, 64, 3), (200, 120, 40), np.uint8)
    for name, matrix, tag in (("601.mp4", "ITU601", 6), ("709.mp4", "ITU709", 1)):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width = stream.height = 64
            stream.pix_fmt, stream.codec_context.colorspace = "yuv420p", tag
            frame = av.VideoFrame.from_ndarray(orange, "rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=matrix)
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        image = next(iter(VideoReader(tmp_path / name))).image
        assert np.abs(image.astype(int) - (200, 120, 40)).max() <= 4, name


@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9"])
@pytest.mark.parametrize("matrix, tag", [("ITU601", 6), ("ITU709", 1)], ids=["601", "709"])
def test_color_range_of_file_is_used(
    tmp_path: Path, codec: str, matrix: str, tag: int
) -> None:
    import av

    orange = np.full((64, 64, 3), (200, 120, 40), np.uint8)
    for name, full in (("MPEG", 1), ("JPEG", 2)):
        path = tmp_path / f"{name}.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width = stream.height = 64
            stream.pix_fmt, stream.codec_context.colorspace = "yuv420p", tag
            stream.codec_context.color_range = full
            frame = av.VideoFrame.from_ndarray(orange, "rgb24").reformat(
                format="yuv420p", dst_colorspace=matrix, src_color_range="JPEG",
                dst_color_range=name)
            frame.colorspace, frame.color_range = tag, full
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        image = next(iter(VideoReader(path))).image
        assert np.abs(image.astype(int) - (200, 120, 40)).max() <= 4, name


def test_real_video_has_declared_frames(shared_data: Path) -> None:
    path = shared_data / "video_dev" / "car-detection.mp4"  # 377 frames at 12.5: its SOURCE.txt
    reader = VideoReader(path)
    assert (reader.info.fps, reader.info.size_hw) == (Fraction(25, 2), (432, 768))
    assert reader.info.has_audio
    assert sum(1 for _ in reader) == reader.info.frame_count == 377


@pytest.mark.parametrize("suffix, options", [
    (".mp4", {"movflags": "faststart"}), (".mkv", {}),
], ids=["mp4", "mkv"])
def test_truncated_file_yields_frames_then_error(
    tmp_path: Path, suffix: str, options: dict[str, str]
) -> None:
    full = write_video(tmp_path / f"full{suffix}", 100, options=options)
    data = full.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(data[:len(data) * 2 // 3])
    numbers = []
    with pytest.raises(VideoError, match="truncated"):
        for frame in VideoReader(cut):
            numbers.append(number_in(frame.image))
    assert 10 < len(numbers) < 100
    # At the end some reference frames are missing (x264: 3 B-frames in a row).
    assert numbers[:-4] == list(range(len(numbers) - 4))
    assert numbers == sorted(numbers)


def test_mp4_without_index_is_reported(tmp_path: Path) -> None:
    data = write_video(tmp_path / "full.mp4", 50).read_bytes()  # the index is at the end
    (tmp_path / "cut.mp4").write_bytes(data[:len(data) // 2])
    with pytest.raises(VideoError, match="cut.mp4: cannot be opened as a video"):
        VideoReader(tmp_path / "cut.mp4")


def test_stream_starting_between_key_frames_begins_at_first_decodable_frame(
    tmp_path: Path,
) -> None:
    path = write_video(tmp_path / "a.ts", 60)
    data = path.read_bytes()
    middle = data.index(b"\x47", len(data) // 8) // 188 * 188  # start of a packet
    (tmp_path / "late.ts").write_bytes(data[middle:])
    try:
        numbers = [number_in(frame.image) for frame in VideoReader(tmp_path / "late.ts")]
    except VideoError as error:
        assert "no frame" in str(error) or "cannot be opened" in str(error)
    else:
        assert numbers


def _garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(20_000))


def _image(path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (40, 30)).save(path, "PNG")


def _no_frames(path: Path) -> None:
    import av

    with av.open(str(path), "w", options={"movflags": "empty_moov"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 64, "yuv420p"
        container.start_encoding()


def _audio_only(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("make, message", [
    (lambda path: None, "no such file"),
    (lambda path: path.mkdir(), "not a file"),
    (lambda path: path.write_bytes(b""), "cannot be opened as a video"),
    (lambda path: path.write_text("hello\n" * 300), "cannot be opened as a video"),
    (_garbage, "cannot be opened as a video"),
    (_image, "not a video.*detkit predict"),
    (_audio_only, "not a video"),
    (_no_frames, "no frame can be decoded"),
], ids=["missing", "folder", "empty", "text", "garbage", "image", "audio-only", "zero-frames"])
def test_non_video_is_reported_with_its_name(tmp_path: Path, make, message: str) -> None:
    path = tmp_path / "clip.mp4"
    make(path)
    with pytest.raises(VideoError, match=f"clip.mp4: .*{message}"):
        VideoReader(path)


def test_helper_reads_what_it_writes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 600)  # beyond 9 bits
    assert read_back(path) == (list(range(600)), [Fraction(n, 25) for n in range(600)])
