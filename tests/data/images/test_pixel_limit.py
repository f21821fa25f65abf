"""Small image files that would take gigabytes or hours: rejected by their headers."""

import struct
import subprocess
import sys
import threading
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image
from small_sets import draw

from detkit.cli.args import pixel_limit
from detkit.cli.main import build_parser
from detkit.data.images import image_probe as headers
from detkit.data.images import open_image as image_open
from detkit.data.images import read_image as images
from detkit.data.images.image_probe import probe_image, probe_images
from detkit.data.images.pixel_limit import DEFAULT_MAX_PIXELS, MAX_PIXELS_ENV, max_pixels
from detkit.data.images.read_image import read_image
from detkit.data.images.sixteen_bits import to_uint8
from detkit.errors import ConfigError, DataError


def png_of(path, width, height, *chunks):
    """A PNG whose header states a size that its few bytes do not hold."""
    def chunk(kind, content):
        return (struct.pack(">I", len(content)) + kind + content
                + struct.pack(">I", zlib.crc32(kind + content)))

    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(
        ">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + b"".join(chunk(*item) for item in chunks)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b""))
    return path


def test_phones_of_200_megapixels_are_within_the_limit():
    assert 16320 * 12240 < max_pixels() == DEFAULT_MAX_PIXELS


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_an_image_of_too_many_pixels_is_an_error_by_its_header(tmp_path, size):
    path = png_of(tmp_path / "bomb.png", *size)
    for message in (probe_image(path).error, str(pytest.raises(DataError, read_image, path).value)):
        assert str(path) in message and "too many pixels" in message and "300,000,000" in message
        assert "--max-pixels" in message


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "gif", "bmp", "jp2", "ppm"])
def test_the_limit_holds_for_every_format(tmp_path, monkeypatch, suffix):
    path = draw(tmp_path / f"a.{suffix}", (20, 10))
    monkeypatch.setenv(MAX_PIXELS_ENV, "199")
    with pytest.raises(DataError, match="too many pixels: got 20 x 10, expected at most 199"):
        read_image(path)
    monkeypatch.setenv(MAX_PIXELS_ENV, "200")
    assert read_image(path).shape == (10, 20, 3)


def test_the_flag_holds_in_processes_that_are_started_and_not_beyond(tmp_path, monkeypatch):
    monkeypatch.delenv(MAX_PIXELS_ENV, raising=False)
    args = build_parser("predict", "predict").parse_args(
        ["model.pth", "a.png", "--out", "x", "--max-pixels", "77"])
    with pixel_limit(args.max_pixels):
        assert max_pixels() == 77
        out = subprocess.run([sys.executable, "-c", "from detkit.data.images.pixel_limit import *\n"
                              "print(max_pixels())"], capture_output=True, text=True, check=True)
        assert out.stdout == "77\n"
        with pixel_limit(None):
            assert max_pixels() == 77
    assert max_pixels() == DEFAULT_MAX_PIXELS


@pytest.mark.parametrize("text", ["", "0", "-1", "many", "1e9", "9" * 5000])
def test_invalid_max_pixels_variable_is_an_error(monkeypatch, text):
    monkeypatch.setenv(MAX_PIXELS_ENV, text)
    with pytest.raises(ConfigError, match=f"{MAX_PIXELS_ENV}: got "):
        max_pixels()


def test_pillow_warns_of_no_image_within_the_limit(tmp_path, recwarn):
    path = png_of(tmp_path / "a.png", 10_000, 10_000)  # Pillow warns from 89 megapixels on
    with image_open.open_image(path) as image:
        assert image.size == (10_000, 10_000)
    assert not recwarn.list


def test_formats_that_other_programs_decode_are_not_opened(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n")
    with Image.open(path) as image:
        assert image.format == "EPS"  # which Pillow would hand to Ghostscript
    with pytest.raises(DataError, match="not an image in a known format"):
        read_image(path)


def test_compressed_texts_in_an_image_are_not_unpacked(tmp_path):
    path = png_of(tmp_path / "text.png", 4, 4, (b"zTXt", b"Comment\0\0" + zlib.compress(
        b" " * 100_000_000)))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"text\.png: the image cannot be decoded"):
        read_image(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_pages_and_frames_are_counted_to_a_hundred(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_COUNTED_FRAMES", 4)
    for suffix, word in (("tif", "pages"), ("gif", "frames")):
        path = tmp_path / f"a.{suffix}"
        frames = [Image.new("RGB", (8, 8), (30 * i, 0, 0)) for i in range(8)]
        frames[0].save(path, save_all=True, append_images=frames[1:])
        notes = []
        read_image(path, notes.append)
        assert [note.message for note in notes] == [
            f"it has at least 4 {word}, of which the first is read"]


def test_large_frames_of_a_gif_are_not_all_decoded_to_count_them(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS_PER_CHUNK", 3 * 64)
    frames = [Image.new("RGB", (8, 8), (30 * i, 0, 0)) for i in range(8)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    notes = []
    read_image(tmp_path / "a.gif", notes.append)
    assert "at least 3 frames" in notes[0].message


def test_a_jpeg_of_endless_scans_is_an_error(tmp_path):
    path = draw(tmp_path / "a.jpg", progressive=True)
    assert read_image(path).shape == (48, 64, 3)
    content = path.read_bytes()
    i = content.rindex(b"\xff\xda")
    last, end = content[i:-2], content[-2:]
    path.write_bytes(content[:i] + 600 * last + end)
    with pytest.raises(DataError, match=r"a\.jpg: the progressive JPEG has 6\d\d scans"):
        read_image(path)


def test_large_images_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    paths = [draw(tmp_path / f"{i}.bmp", seed=i) for i in range(16)]
    num_running, max_running, lock, real_read = 0, 0, threading.Lock(), headers.read_image

    def counting_read(*args):
        nonlocal num_running, max_running
        with lock:
            num_running += 1
            max_running = max(max_running, num_running)
        threading.Event().wait(0.005)
        result = real_read(*args)
        with lock:
            num_running -= 1
        return result

    monkeypatch.setattr(headers, "read_image", counting_read)
    monkeypatch.setattr(headers, "LARGE_IMAGE_PIXELS", 64 * 48 - 1)
    assert [info.stored_wh for info in probe_images(paths)] == 16 * [(64, 48)]
    assert max_running == 1


def test_sixteen_bits_take_little_more_than_the_image(tmp_path):
    """Eight bytes for each value, as numpy's own counting takes, were 2.4 GB at the limit."""
    values = np.arange(3000 * 4000, dtype=np.uint32).reshape(3000, 4000).astype(np.uint16)
    tracemalloc.start()
    to_uint8(values)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * values.size


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_over_white_is_the_same_by_strips(tmp_path, monkeypatch, mode):
    noise = np.random.default_rng(0).integers(0, 255, (30, 20, 4), np.uint8)
    image = Image.fromarray(noise)
    if mode == "P":
        image = image.convert("RGB").quantize(9)
        image.info["transparency"] = 3
    else:
        image = image.convert(mode)
    image.save(tmp_path / "a.png")
    expected = read_image(tmp_path / "a.png")
    monkeypatch.setattr(images, "MAX_PIXELS_PER_CHUNK", 20 * 7)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)
    with Image.open(tmp_path / "a.png") as stored:
        rgba = stored.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    np.testing.assert_array_equal(expected, np.asarray(
        Image.alpha_composite(white, rgba).convert("RGB")))
