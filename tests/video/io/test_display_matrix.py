"""The eight orientations of a display matrix."""

from pathlib import Path

import numpy as np
import pytest
from numbered_video import write_video
from PIL import Image

from detkit.video.io.display_matrix import QUARTER_TURNS, UPRIGHT, orientation_from_matrix
from detkit.video.io.reader import VideoReader

ONE = 1 << 16  # 16.16 fixed point
TO = Image.Transpose
# (a, b, c, d): a stored point (x, y) is displayed at (a x + c y, b x + d y), y down. Where the
# points (1, 0) to the right of the origin and (0, 1) below it are moved:
MATRICES = {
    "as-stored": ((1, 0, 0, 1), None),  # stay where they are
    "mirrored": ((-1, 0, 0, 1), TO.FLIP_LEFT_RIGHT),  # right goes to left
    "upside-down-mirrored": ((1, 0, 0, -1), TO.FLIP_TOP_BOTTOM),  # below goes above
    "half-turn": ((-1, 0, 0, -1), TO.ROTATE_180),
    "clockwise": ((0, 1, -1, 0), TO.ROTATE_270),  # right goes below, below goes to the left
    "counter-clockwise": ((0, -1, 1, 0), TO.ROTATE_90),  # right goes above, below to the right
    "transposed": ((0, 1, 1, 0), TO.TRANSPOSE),  # right goes below, below to the right
    "transversed": ((0, -1, -1, 0), TO.TRANSVERSE),  # right goes above, below to the left
}
CASES = pytest.mark.parametrize("matrix, transpose", MATRICES.values(), ids=MATRICES)


def with_matrix(path: Path, numbers: tuple[int, ...]) -> Path:
    """Put a display matrix into the track header of an mp4 file (ISO 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44  # after the name, the version and 40 bytes of version 0
    a, b, c, d = (number * ONE for number in numbers)
    data[matrix:matrix + 36] = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(data)
    return path


def first_image(path: Path) -> np.ndarray:
    reader = VideoReader(path)
    try:
        return next(iter(reader)).image
    finally:
        reader.close()


@CASES
def test_frame_is_oriented_by_display_matrix(tmp_path: Path, matrix, transpose) -> None:
    stored = first_image(write_video(tmp_path / "a.mp4", 2))
    path = with_matrix(write_video(tmp_path / "b.mp4", 2), matrix)
    expected = Image.fromarray(stored)
    expected = expected if transpose is None else expected.transpose(transpose)
    reader = VideoReader(path)
    images = [frame.image for frame in reader]
    reader.close()
    assert len(images) == 2
    np.testing.assert_array_equal(images[0], expected)
    assert reader.info.size_hw == images[0].shape[:2] == images[1].shape[:2]
    assert images[0].flags.c_contiguous


@CASES
def test_scale_and_tilt_do_not_change_orientation(matrix, transpose) -> None:
    a, b, c, d = matrix
    tilt = np.radians(20)
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    tilted = np.zeros((3, 3))
    tilted[:2, :2] = 0.5 * ONE * np.array([[a, b], [c, d]]) @ turn
    plain = np.array([[a, b, 0], [c, d, 0], [0, 0, 1]], np.int32)
    assert orientation_from_matrix(tilted.astype(np.int32)) == orientation_from_matrix(plain)


def test_frames_with_side_data_unknown_to_pyav_are_rotated(tmp_path: Path) -> None:
    # FFmpeg 8 returns EXIF side data for motion JPEG, which PyAV does not know.
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate clockwise
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=95)
    (tmp_path / "a.mjpeg").write_bytes(2 * (tmp_path / "a.jpg").read_bytes())
    image = first_image(tmp_path / "a.mjpeg")
    assert image.shape == (32, 16, 3)  # the left half is now at the top
    assert image[:12, :, 0].min() > 200 > 100 > image[20:, :, 0].max()


@pytest.mark.parametrize("turns", range(4))
def test_quarter_turns_match_numpy(turns: int) -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.testing.assert_array_equal(QUARTER_TURNS[turns].apply(image), np.rot90(image, turns))


def test_zero_matrix_is_upright() -> None:
    assert orientation_from_matrix(np.zeros((3, 3), np.int32)) == UPRIGHT


@pytest.mark.parametrize("name, x, y", [
    ("plain.mp4", 0.16, 0.26), ("rot_hflip.mp4", 0.84, 0.26), ("rot_90.mp4", 0.74, 0.16),
    ("rot_180.mp4", 0.84, 0.74), ("rot_270.mp4", 0.26, 0.84),
])
def test_red_object_is_where_players_show_it(
    shared_cases: Path, name: str, x: float, y: float
) -> None:
    image = first_image(shared_cases / "video" / name).astype(int)
    rows, columns = np.nonzero((image[..., 0] > 150) & (image[..., 1:].max(axis=2) < 100))
    height, width = image.shape[:2]
    assert columns.mean() / width == pytest.approx(x, abs=0.015)
    assert rows.mean() / height == pytest.approx(y, abs=0.015)
