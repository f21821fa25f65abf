"""Files of several frames, and those that only other programs read."""

import sys
import types

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from detkit.data.images.image_formats import is_image_like
from detkit.data.images.read_image import read_image
from detkit.errors import DataError

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def first_and_notes(path):
    notes = []
    return read_image(path, notes.append)[0, 0].tolist(), [note.message for note in notes]


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_the_first_of_several_frames_is_read_and_reported(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), color) for color in ("white", "black", "red")]
    single, three = tmp_path / f"one.{suffix}", tmp_path / f"three.{suffix}"
    frames[0].save(single)
    frames[0].save(three, save_all=True, append_images=frames[1:])
    assert first_and_notes(single) == ([255, 255, 255], [])
    first, notes = first_and_notes(three)
    assert first == [255, 255, 255]
    assert len(notes) == 1 and "3 " in notes[0]


def test_smaller_copies_in_a_tiff_are_no_pages(tmp_path):
    full, small = Image.new("RGB", (8, 8), "white"), Image.new("RGB", (4, 4), "red")
    path = tmp_path / "pyramid.tif"
    small.encoderinfo = {"tiffinfo": {254: 1}}  # NewSubfileType: a reduced copy
    full.save(path, save_all=True, append_images=[small])
    with Image.open(path) as image:
        image.seek(1)
        assert image.n_frames == 2 and image.tag_v2[254] == 1
    assert first_and_notes(path) == ([255, 255, 255], [])


def test_mpo_secondary_images_are_not_reported(shared_cases):
    notes = []
    assert read_image(shared_cases / "images" / "mpo.jpg", notes.append).shape == (120, 200, 3)
    assert notes == []


@pytest.mark.parametrize("name, content, message", [
    ("a.heic", HEIC, "HEIC.*pillow-heif"),
    ("a.jpg", HEIC, "HEIC.*pillow-heif"),
    ("a.jpg", b"", "the file is empty"),
    ("a.jpg", b"\n<!DOCTYPE html><html>", "HTML"),
    ("a.jxl", b"\xff\x0a rest", "JPEG XL.*PNG or JPEG"),
    ("a.NEF", b"II*\0", "raw file.*convert"),
], ids=["heic", "heic-named-jpg", "empty", "html", "jxl", "raw"])
def test_unreadable_formats_are_named_in_the_error(tmp_path, monkeypatch, name, content, message):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: .*{message}"):
        read_image(tmp_path / name)


def test_heic_is_read_where_its_reader_is_installed(tmp_path, monkeypatch):
    def register_heif_opener():
        def opener(file, name):
            if file.read(12)[4:] != b"ftypheic":
                raise SyntaxError
            return Image.new("RGB", (3, 2), "red")

        Image.register_open("HEIF", opener)

    fake = types.ModuleType("pillow_heif")
    fake.register_heif_opener = register_heif_opener
    monkeypatch.setitem(sys.modules, "pillow_heif", fake)
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    path = tmp_path / "a.heic"
    path.write_bytes(HEIC)
    with pytest.raises(UnidentifiedImageError):
        Image.open(path)
    np.testing.assert_array_equal(read_image(path), np.full((2, 3, 3), (255, 0, 0), np.uint8))


@pytest.mark.parametrize("name, content, expected", [
    ("a", b"", False), ("a.txt", b"text", False), ("a.json", b"{}", False), ("a", HEIC, True),
    ("a.HEIC", b"", True), ("a.dng", b"", True), ("a", b"\xff\xd8\xff\xe0", True),
    ("a.part", b"\x89PNG\r\n\x1a\n", True), ("a", b"RIFF\0\0\0\0WEBPVP8 ", True),
    ("a.wav", b"RIFF\0\0\0\0WAVEfmt ", False), ("a.mp4", b"\0\0\0\x18ftypisom", False),
])
def test_images_are_known_by_their_beginning_or_their_ending(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    assert is_image_like(tmp_path / name) == expected
