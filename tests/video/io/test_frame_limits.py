"""The pixel limit: checked in the header, while decoding, and for folders of images."""

from fractions import Fraction
from pathlib import Path

import pytest
from numbered_video import numbered_image, write_video
from PIL import Image

from detkit.errors import VideoError
from detkit.structures.detections import Detections
from detkit.video.io.reader import VideoReader
from detkit.video.io.source import open_source
from detkit.video.pipeline import run_video

SMALL, LARGE = (64, 160), (240, 320)  # 10,240 and 76,800 pixels


def write_mixed(path: Path, codec: str, pix_fmt: str, sizes: list[tuple[int, int]]) -> Path:
    """A video whose frames have different sizes."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *sizes[0], pix_fmt
        stream.codec_context.time_base = Fraction(1, 25)
        for number, size_hw in enumerate(sizes):
            encoder = av.CodecContext.create(codec, "w")
            encoder.height, encoder.width, encoder.pix_fmt = *size_hw, pix_fmt
            encoder.time_base = Fraction(1, 25)
            encoder.options = {"bf": "0"} if codec == "libx264" else {}
            frame = av.VideoFrame.from_ndarray(numbered_image(number, size_hw), "rgb24")
            frame = frame.reformat(format=pix_fmt)
            for packet in (*encoder.encode(frame), *encoder.encode(None)):
                packet.stream, packet.time_base = stream, Fraction(1, 25)
                packet.pts = packet.dts = number
                container.mux(packet)
    return path


@pytest.mark.parametrize("limit", [76_799, 20_000], ids=["just", "far"])
@pytest.mark.parametrize("codec, pix_fmt, suffix", [
    ("mjpeg", "yuvj420p", "mkv"), ("png", "rgb24", "mov"), ("libx264", "yuv420p", "ts"),
    ("libvpx-vp9", "yuv420p", "mkv"),
])
def test_frame_size_growing_beyond_limit_keeps_previous_frames(
    tmp_path: Path, codec: str, pix_fmt: str, suffix: str, limit: int
) -> None:
    source = write_mixed(tmp_path / f"a.{suffix}", codec, pix_fmt, [SMALL] * 4 + [LARGE] + [SMALL])
    reader = VideoReader(source, max_pixels=76_800)
    assert [frame.image.shape[:2] for frame in reader] == [SMALL] * 6
    reader.close()
    with pytest.raises(VideoError, match=f"frame 4 has too many pixels.*at most {limit}.*max-pixels"
                                         ".*the 4 frames that were done") as error_info:
        run_video(lambda images: [Detections.empty(image.shape[:2]) for image in images],
                  source, tmp_path / "out.mp4", None, max_pixels=limit)
    assert "\n" not in str(error_info.value)


@pytest.mark.parametrize("suffix", ["mp4", "ts", "mkv"])
def test_frame_size_is_checked_before_decoding(tmp_path: Path, suffix: str) -> None:
    source = write_video(tmp_path / f"a.{suffix}", 12)
    with pytest.raises(VideoError, match=f"a.{suffix}: its frames have too many pixels: "
                                         "got 160x64, expected at most 10239 pixels"):
        open_source(source, max_pixels=10_239)
    open_source(source, max_pixels=10_240).close()


def test_huge_size_in_header_is_rejected(tmp_path: Path) -> None:
    """In an AVI the size is in 'strf', 4 bytes after its length: BITMAPINFOHEADER."""
    # ffvhuff has no size in its own data.
    source = write_video(tmp_path / "a.avi", 3, codec="ffvhuff")
    data = bytearray(source.read_bytes())
    offset = data.index(b"strf") + 8 + 4
    data[offset:offset + 8] = (16_000).to_bytes(4, "little") * 2
    source.write_bytes(data)
    with pytest.raises(VideoError, match="at most 35651584 pixels"):
        open_source(source)


def test_image_folder_has_the_same_pixel_limit(tmp_path: Path) -> None:
    for number in range(2):
        Image.fromarray(numbered_image(number)).save(tmp_path / f"{number}.png")
    with pytest.raises(VideoError, match="0.png: has too many pixels: got 160x64, .*10239 pixels"):
        open_source(tmp_path, max_pixels=10_239)
    assert len(list(open_source(tmp_path, max_pixels=10_240))) == 2
