"""16-bit images reduced to 8 bits, by depth or stretched, with a note."""

import logging

import cv2
import numpy as np
import pytest
from PIL import Image

from detkit.data.images import read_notes as image_notes
from detkit.data.images.image_probe import probe_image, probe_images
from detkit.data.images.read_image import read_image
from detkit.data.images.sixteen_bits import to_uint8
from detkit.data.transforms.load_image import LoadImage

RAMP = np.arange(256, dtype=np.uint16).reshape(16, 16)  # every value of 8 bits once


def code_of(note):
    return None if note is None else note.code


@pytest.mark.parametrize("values, expected, code", [
    (np.zeros((0, 5), np.uint16), np.zeros((0, 5)), None),
    (RAMP * 257, RAMP, None),  # 255 * 257 = 65535: 8 bits copied into 16
    (RAMP * 16, RAMP, "fewer_bits"),  # 12 bits
    (RAMP * 4, RAMP, "narrow_band"),  # 10 bits: a quarter of 12
    (RAMP * 64, RAMP, "narrow_band"),  # 14 bits: a quarter of 16
    (RAMP, RAMP, "fewer_bits"),  # 8 bits that lie in 16
    (51200 + RAMP, RAMP, "narrow_band"),  # 255 above the least value is the greatest
    (51200 + 2 * RAMP, RAMP, "narrow_band"),
    (np.full((4, 4), 1000, np.uint16), np.full((4, 4), 1000 >> 4), "fewer_bits"),  # flat: 12 bits
    (np.full((4, 4), 51200, np.uint16), np.full((4, 4), 200), None),  # flat: 51200 = 200 * 256
], ids=["empty", "16", "12", "10", "14", "8", "band", "wider-band", "flat-dark", "flat"])
def test_bit_depth_follows_from_the_used_value_range(values, expected, code):
    scaled, note = to_uint8(values)
    assert scaled.dtype == np.uint8 and code_of(note) == code
    np.testing.assert_array_equal(scaled, expected)


def test_values_below_a_quarter_of_the_range_are_stretched():
    # Of 16 bits a quarter is 16384: at 16384 the high byte stays, below it is stretched.
    at, below = (np.array([[40000, 40000 + span]], np.uint16) for span in (16384, 16383))
    assert code_of(to_uint8(at)[1]) is None
    assert to_uint8(at)[0].tolist() == [[40000 // 256, 56384 // 256]]
    assert code_of(to_uint8(below)[1]) == "narrow_band"
    assert to_uint8(below)[0].tolist() == [[0, 255]]


@pytest.mark.parametrize("top", [255, 1020, 4095])
def test_brightness_is_continuous_at_depth_limits(top):
    """Where the values no longer fit into 8, 10 or 12 bits."""
    values = np.arange(top + 1, dtype=np.uint16)
    before, after = (to_uint8(np.append(values, more))[0][:top].mean(dtype=float)
                     for more in (top, top + 1))
    assert after == pytest.approx(before, rel=0.02)


def test_outlier_pixels_do_not_affect_the_stretch():
    scene = np.tile(30000 + np.arange(200, dtype=np.uint16), (150, 1))  # 30,000 pixels
    scene[0, 0], scene[0, 1], scene[0, 2] = 0, 65535, 65535  # 0.01 % are 3
    scaled, note = to_uint8(scene)
    assert code_of(note) == "narrow_band"
    assert scaled[0, 0] == 0 and scaled[0, 1] == 255
    assert scaled[1, 0] == 0 and scaled[1, 199] == 255


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("scale", [1, 16], ids=["full-range", "12-bit"])
def test_color_of_sixteen_bits_is_read_by_the_same_rule(tmp_path, suffix, scale):
    color = np.stack([RAMP, RAMP[::-1], RAMP.T], axis=2)
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), (color * (16 if scale == 16 else 256))[..., ::-1])
    notes = []
    np.testing.assert_array_equal(read_image(path, notes.append), color)
    assert [note.code for note in notes] == (["fewer_bits"] if scale == 16 else [])


def test_transparent_color_of_twelve_bits_is_laid_over_white(tmp_path):
    pixels = np.zeros((2, 2, 4), np.uint16)
    pixels[..., 2] = 4080  # red, opaque where alpha is 65535: 4080 = 255 * 16
    pixels[0, :, 3] = 65535
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    read = read_image(tmp_path / "a.png")
    assert read[0, 0].tolist() == [255, 0, 0] and read[1, 0].tolist() == [255, 255, 255]


def test_color_of_twelve_bits_is_turned_upright(tmp_path):
    color = np.zeros((4, 6, 3), np.uint16)
    color[:, :3] = 4080
    cv2.imwrite(str(tmp_path / "plain.tif"), color)
    # The orientation, 6, in the place of the planar configuration, 1, which is the default.
    data = (tmp_path / "plain.tif").read_bytes()
    planar, turned = (bytes([tag, 1, 3, 0, 1, 0, 0, 0, value, 0, 0, 0])
                      for tag, value in ((0x1C, 1), (0x12, 6)))
    assert data.count(planar) == 1
    (tmp_path / "turned.tif").write_bytes(data.replace(planar, turned))
    with Image.open(tmp_path / "turned.tif") as image:
        assert image.getexif()[0x0112] == 6
    turned = read_image(tmp_path / "turned.tif")
    # Clockwise: what lies to the left comes above.
    assert turned.shape == (6, 4, 3) and turned[:3].min() == 255 and turned[3:].max() == 0


@pytest.mark.parametrize("name, code", [
    ("grey12in16.png", "fewer_bits"), ("grey16.png", None), ("grey16.tif", None),
])
def test_twelve_bits_and_sixteen_show_what_eight_bits_show(shared_cases, name, code):
    folder = shared_cases / "images"
    notes = []
    read = read_image(folder / name, notes.append)
    np.testing.assert_array_equal(read, read_image(folder / "grey8.png"))
    assert [note.code for note in notes] == ([code] if code else [])


def test_objects_of_a_thermal_image_stand_out(shared_cases):
    folder = shared_cases / "images"
    notes = []
    read = read_image(folder / "thermal16.png", notes.append)[..., 0].astype(float)
    # The same scene as grey8.png, which has objects brighter and darker than the background.
    plain = read_image(folder / "grey8.png")[..., 0].astype(float)
    assert np.corrcoef(read.ravel(), plain.ravel())[0, 1] > 0.999
    assert read.min() == 0 and read.max() == 255
    assert [note.code for note in notes] == ["narrow_band"]


def test_training_and_prediction_read_alike(shared_cases):
    path = shared_cases / "images" / "thermal16.png"
    trained = LoadImage().transform({"img_path": str(path)})["img"]
    np.testing.assert_array_equal(trained[..., ::-1], read_image(path))


def test_probe_images_reports_the_notes_of_read_image(shared_cases):
    folder = shared_cases / "images"
    names = ["grey16.png", "grey12in16.png", "thermal16.png", "pages.tif", "animated.png"]
    assert [
        [note.code for note in info.notes] for info in probe_images([folder / n for n in names])
    ] == [[], ["fewer_bits"], ["narrow_band"], ["more_frames"], ["more_frames"]]


def test_size_and_orientation_of_a_sixteen_bit_png_are_those_of_its_header(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.tile(RAMP, (1, 2)) * 16).save(tmp_path / "a.png", exif=exif)
    info = probe_image(tmp_path / "a.png")
    assert (info.stored_wh, info.orientation, info.upright_wh) == ((32, 16), 6, (16, 32))


def test_the_first_of_each_kind_is_logged_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(image_notes, "_logged", set())
    for name in ("a.png", "b.png"):
        Image.fromarray(RAMP * 16).save(tmp_path / name)
    with caplog.at_level(logging.WARNING, "detkit"):
        read_image(tmp_path / "a.png")
        read_image(tmp_path / "b.png")
    assert len(caplog.records) == 1 and "a.png" in caplog.text and "12 bits" in caplog.text


def test_notes_of_probe_images_are_not_logged_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(image_notes, "_logged", set())
    Image.fromarray(RAMP * 16).save(tmp_path / "a.png")
    with caplog.at_level(logging.WARNING, "detkit"):
        probe_images([tmp_path / "a.png"])
        read_image(tmp_path / "a.png")
    assert not caplog.records
