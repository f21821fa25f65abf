"""Reading upright RGB images, compared with OpenCV, which applies EXIF, too."""

import cv2
import numpy as np
import pytest
from PIL import Image

from detkit.data.images.image_probe import probe_image, probe_images
from detkit.data.images.read_image import read_image
from detkit.errors import DataError

ORIENTATION = 0x0112


def ramp_image(size_wh=(6, 4)):
    """An image whose pixels all differ, so that each orientation does, too."""
    ramp = np.arange(size_wh[0] * size_wh[1], dtype=np.uint8).reshape(size_wh[1], size_wh[0])
    return np.stack([ramp, ramp + 60, ramp + 120], axis=-1)


def save(path, image, **options):
    image.save(path, **options)
    return path


def with_orientation(path, orientation, image=None):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return save(path, image or Image.fromarray(ramp_image()), exif=exif)


def test_rgb_png_comes_back_as_it_was_written(tmp_path):
    read = read_image(save(tmp_path / "a.png", Image.fromarray(ramp_image())))
    assert read.dtype == np.uint8 and read.flags.c_contiguous
    np.testing.assert_array_equal(read, ramp_image())


def test_photographs_equal_opencvs_decoding(shared_data):
    for path in sorted((shared_data / "photos").glob("*.jp*g"))[:3]:
        np.testing.assert_array_equal(read_image(path), cv2.imread(str(path))[..., ::-1])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_exif_is_applied_as_opencv_applies_it(tmp_path, orientation, suffix):
    path = with_orientation(tmp_path / f"a.{suffix}", orientation)
    result = read_image(path)
    assert result.shape == ((4, 6, 3) if orientation < 5 else (6, 4, 3))
    info = probe_image(path)
    assert info.error is None and info.upright_wh == (result.shape[1], result.shape[0])
    assert info.stored_wh == (6, 4)
    if suffix == "jpg":
        np.testing.assert_array_equal(result, cv2.imread(str(path))[..., ::-1])


def test_turned_png_is_upright(tmp_path):
    # Orientation 6: rotate clockwise by 90 degrees, which is numpy's rot90 with k=-1.
    path = with_orientation(tmp_path / "a.png", 6)
    np.testing.assert_array_equal(read_image(path), np.rot90(ramp_image(), -1))


GRAY = np.array([[0, 50], [200, 255]], np.uint8)


@pytest.mark.parametrize("image", [
    pytest.param(Image.fromarray(GRAY), id="gray"),
    pytest.param(Image.fromarray(GRAY).convert("P"), id="palette"),
    pytest.param(Image.fromarray(GRAY.astype(np.uint16) * 256 + 77), id="16-bit"),
    pytest.param(Image.fromarray(GRAY).convert("LA"), id="gray-opaque-alpha"),
    pytest.param(Image.fromarray(GRAY).convert("RGBA"), id="opaque-alpha"),
])
def test_kinds_of_png_become_rgb(tmp_path, image):
    read = read_image(save(tmp_path / "a.png", image))
    np.testing.assert_array_equal(read, np.repeat(GRAY[..., None], 3, axis=2))


def test_one_bit_png_is_black_and_white(tmp_path):
    read = read_image(save(tmp_path / "a.png", Image.fromarray(GRAY > 100)))
    np.testing.assert_array_equal(read[..., 0], [[0, 0], [255, 255]])


def test_transparent_pixels_are_laid_over_white(tmp_path):
    # alpha 0 shows white; alpha 51 = 20 % of (100, 0, 200) over white 255:
    # 0.2 * 100 + 0.8 * 255 = 224, 0.8 * 255 = 204, 0.2 * 200 + 204 = 244
    pixels = np.array([[[9, 9, 9, 0], [100, 0, 200, 51], [1, 2, 3, 255]]], np.uint8)
    read = read_image(save(tmp_path / "a.png", Image.fromarray(pixels, "RGBA")))
    np.testing.assert_array_equal(read, [[[255, 255, 255], [224, 204, 244], [1, 2, 3]]])


def test_transparent_palette_color_is_white(tmp_path):
    image = Image.fromarray(GRAY).convert("P")
    black = image.getpixel((0, 0))
    read = read_image(save(tmp_path / "a.png", image, transparency=black))
    assert read[0, 0].tolist() == [255, 255, 255] and read[1, 1].tolist() == [255, 255, 255]
    assert read[0, 1].tolist() == [50, 50, 50]


def test_cmyk_jpeg_has_its_color(tmp_path):
    # No ink is white; full cyan alone is (0, 255, 255).
    white = save(tmp_path / "w.jpg", Image.new("CMYK", (16, 16), (0, 0, 0, 0)))
    cyan = save(tmp_path / "c.jpg", Image.new("CMYK", (16, 16), (255, 0, 0, 0)))
    assert np.abs(read_image(white).astype(int) - 255).max() <= 2
    assert np.abs(read_image(cyan).astype(int) - [0, 255, 255]).max() <= 2


def test_one_pixel_image(tmp_path):
    assert read_image(save(tmp_path / "a.png", Image.new("RGB", (1, 1), "red"))).tolist() == [
        [[255, 0, 0]]]


@pytest.mark.parametrize("suffix", ["bmp", "webp", "tif", "gif"])
def test_other_formats_are_read_and_measured(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}", Image.new("RGB", (6, 4), "white"))
    assert read_image(path).shape == (4, 6, 3)
    assert probe_image(path).upright_wh == (6, 4)


def test_turned_tiff_is_read_and_measured_upright(tmp_path):
    path = with_orientation(tmp_path / "a.tif", 6)
    np.testing.assert_array_equal(read_image(path), np.rot90(ramp_image(), -1))
    assert probe_image(path).upright_wh == (4, 6)


def broken(tmp_path, damage):
    path = tmp_path / "broken.jpg"
    if damage == "missing":
        return path
    Image.effect_noise((64, 64), 90).save(path)
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "text": b"no image at all",
                      "header only": content[:30]}[damage])
    return path


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text", "header only"])
def test_unreadable_image_is_an_error_with_its_path(tmp_path, damage):
    path = broken(tmp_path, damage)
    with pytest.raises(DataError, match="broken.jpg"):
        read_image(path)
    assert "broken.jpg" in probe_image(path).error


def test_cut_png_is_found_without_decoding_all_others(tmp_path):
    good = save(tmp_path / "good.png", Image.effect_noise((64, 64), 90))
    cut = tmp_path / "cut.png"
    cut.write_bytes(good.read_bytes()[:-40])
    info = probe_images([good, cut])
    assert [entry.error is None for entry in info] == [True, False]


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(tmp_path):
    path = save(tmp_path / "a.jpg", Image.effect_noise((64, 64), 90))
    path.write_bytes(path.read_bytes() + b"maker's notes " * 20)
    assert probe_image(path).error is None and probe_image(path).upright_wh == (64, 64)


def test_floating_point_image_is_an_error_and_names_the_remedy(tmp_path):
    path = save(tmp_path / "f.tif", Image.fromarray(np.zeros((4, 4), np.float32)))
    with pytest.raises(DataError, match="f.tif.*floating-point.*8 bits"):
        read_image(path)


def test_no_images_to_survey():
    assert probe_images([]) == []
