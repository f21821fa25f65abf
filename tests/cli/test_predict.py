"""``detkit predict``: results of valid images, reports of invalid ones, no overwriting."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from thumbnail_checkpoint import CLASSES, save_thumbnail

from detkit.cli.main import main


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_thumbnail(tmp_path_factory.mktemp("thumbnail") / "thumbnail.pth")


def blobs(height: int = 40, width: int = 60, seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def mixed_folder(tmp_path: Path) -> Path:
    """A folder with valid images of several formats, and two invalid ones."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    blobs().save(folder / "plain.jpg")
    data = (folder / "plain.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(data[:len(data) // 2])
    (folder / "text.jpg").write_text("not an image")
    Image.new("RGB", (1, 1), "red").save(folder / "pixel.png")
    blobs().convert("L").save(folder / "gray.png")
    blobs().convert("RGBA").save(folder / "rgba.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be rotated clockwise: 60x40 is displayed as 40x60
    blobs().save(folder / "rotated.jpg", exif=exif)
    sixteen = (np.arange(40 * 60, dtype=np.uint16).reshape(40, 60) * 27)
    Image.fromarray(sixteen).save(folder / "sixteen.png")
    return folder


def test_valid_images_are_processed_and_invalid_reported(
    checkpoint: Path, mixed_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code = main(["predict", str(checkpoint), str(mixed_folder), "--out", str(out),
                 "--threshold", "0", "--device", "cpu"])
    printed = capsys.readouterr()
    assert code == 1
    document = json.loads((out / "detections.json").read_text())
    sizes = {Path(image["file"]).name: (image["width"], image["height"])
             for image in document["images"]}
    assert sizes == {
        "gray.png": (60, 40), "pixel.png": (1, 1), "plain.jpg": (60, 40), "rgba.png": (60, 40),
        "rotated.jpg": (40, 60), "sixteen.png": (60, 40),
    }
    assert [Path(entry["file"]).name
            for entry in document["failed"]] == ["text.jpg", "truncated.jpg"]
    assert document["classes"] == list(CLASSES)
    for image in document["images"]:
        with Image.open(out / image["picture"]) as drawn:
            assert drawn.size == (image["width"], image["height"])
        for entry in image["detections"]:
            left, top, right, bottom = entry["box_xyxy"]
            assert 0 <= left <= right <= image["width"]
            assert 0 <= top <= bottom <= image["height"]
            assert entry["class"] == CLASSES[entry["label"]] and 0 <= entry["score"] <= 1
    assert sum(len(image["detections"]) for image in document["images"]) > 0
    assert "2 of 8 images could not be processed" in printed.err
    for name in ("text.jpg", "truncated.jpg"):
        assert sum(name in line for line in printed.err.splitlines()) == 1
    assert "Traceback" not in printed.err
    table = printed.out.splitlines()
    assert table[0].split() == ["image", "size", "detections", "classes"]
    assert sum(bool(re.search(r" \d+x\d+ ", line)) for line in table) == 6


def test_valid_images_exit_0_and_no_images_flag(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blobs().save(tmp_path / "a.png")
    out = tmp_path / "deep" / "out"
    assert main(["predict", str(checkpoint), str(tmp_path / "a.png"), "--out", str(out),
                 "--no-images", "--device", "cpu"]) == 0
    assert [path.name for path in out.iterdir()] == ["detections.json"]
    assert json.loads((out / "detections.json").read_text())["images"][0]["picture"] is None
    assert capsys.readouterr().err == ""


def test_only_invalid_images_exit_1_and_write_results(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no image")
    assert main(["predict", str(checkpoint), str(tmp_path / "a.jpg"), "--out",
                 str(tmp_path / "out"), "--device", "cpu"]) == 1
    document = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert document["images"] == [] and len(document["failed"]) == 1


def test_images_with_same_name_get_separate_outputs(checkpoint: Path, tmp_path: Path) -> None:
    for number, name in enumerate(["x/a.png", "y/a.png", "y/a.jpg"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10), (80 * number, 0, 0)).save(tmp_path / name)
    out = tmp_path / "out"
    assert main(["predict", str(checkpoint), str(tmp_path / "x"), str(tmp_path / "y"),
                 "--out", str(out), "--threshold", "1", "--device", "cpu"]) == 0
    for image in json.loads((out / "detections.json").read_text())["images"]:
        # Without detections, the saved images equal the inputs but for JPEG compression.
        with Image.open(image["file"]) as original, Image.open(out / image["picture"]) as drawn:
            assert abs(original.convert("RGB").getpixel((5, 5))[0] - drawn.getpixel((5, 5))[0]) < 4
    assert len(list(out.glob("*.jpg"))) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have text names")
def test_undecodable_file_name_is_written_and_read_back(
    checkpoint: Path, tmp_path: Path
) -> None:
    name = os.fsdecode(b"caf\xe9.png")  # latin-1
    blobs().save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / name)
    out = tmp_path / "out"
    assert main(["predict", str(checkpoint), str(tmp_path / name), "--out", str(out),
                 "--device", "cpu"]) == 0
    image, = json.loads((out / "detections.json").read_text())["images"]
    assert Path(image["file"]).is_file() and (out / image["picture"]).is_file()


def test_nonempty_folder_is_written_only_with_force(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blobs().save(tmp_path / "a.png")
    out = tmp_path / "out"
    out.mkdir()
    (out / "detections.json").write_text("existing")
    argv = ["predict", str(checkpoint), str(tmp_path / "a.png"), "--out", str(out),
            "--device", "cpu"]
    assert main(argv) == 2
    assert "not empty" in capsys.readouterr().err
    assert (out / "detections.json").read_text() == "existing"
    assert main([*argv, "--force"]) == 0
    assert json.loads((out / "detections.json").read_text())["images"]


@pytest.mark.parametrize("argv, message", [
    (["{ckpt}", "{tmp}/empty", "--out", "{tmp}/out"], "no images"),
    (["{ckpt}", "{tmp}/missing.jpg", "--out", "{tmp}/out"], "missing.jpg: no such file"),
    (["{tmp}/missing.pth", "{tmp}/a.png", "--out", "{tmp}/out"], "missing.pth"),
    (["{tmp}/a.png", "{tmp}/a.png", "--out", "{tmp}/out"], "a.png"),
    (["{ckpt}", "{tmp}/a.png", "--out", "{tmp}/a.png"], "a.png: is a file"),
    (["{ckpt}", "{tmp}/a.png", "--out", "{tmp}/a.png/out"], "Not a directory"),
    (["{ckpt}", "{tmp}/a.png", "--out", "{tmp}/out", "--threshold", "2"], "from 0 to 1"),
    (["{ckpt}", "{tmp}/a.png", "--out", "{tmp}/out", "--device", "tpu"], "tpu"),
    (["{ckpt}", "{tmp}/a.png", "--out", "{tmp}/out", "--device", "cuda:99"], "cuda:99"),
    (["{ckpt}", "{tmp}/a.png"], "--out"),
], ids=["empty-folder", "no-image", "no-checkpoint", "image-as-checkpoint", "out-is-a-file",
        "out-below-a-file", "threshold", "device", "absent-device", "no-out"])
def test_bad_input_is_one_line_and_writes_nothing(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    blobs().save(tmp_path / "a.png")
    code = main(["predict", *(word.format(ckpt=checkpoint, tmp=tmp_path) for word in argv)])
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 2
    assert message in last and "error: " in last
    assert not (tmp_path / "out").exists()


def test_every_skipped_file_is_reported(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    folder = tmp_path / "folder"
    folder.mkdir()
    blobs().save(folder / "a.jpg")
    (folder / "a.jpg").rename(folder / "without_suffix")
    blobs().save(folder / "two.tif", save_all=True, append_images=[blobs()])
    narrow = 51200 + np.arange(2400, dtype=np.uint16).reshape(40, 60) // 10
    Image.fromarray(narrow).save(folder / "thermal.png")
    (folder / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (folder / "labels.txt").write_text("0 0.5 0.5 0.1 0.1")
    code = main(["predict", str(checkpoint), str(folder), "--out", str(tmp_path / "out"),
                 "--device", "cpu", "--no-images"])
    stderr = capsys.readouterr().err.splitlines()
    assert code == 1
    document = json.loads((tmp_path / "out" / "detections.json").read_text())
    notes = {Path(entry["file"]).name: entry.get("notes", []) for entry in document["images"]}
    assert sorted(notes) == ["thermal.png", "two.tif", "without_suffix"]
    assert "2 pages" in notes["two.tif"][0] and "51200..51439" in notes["thermal.png"][0]
    assert notes["without_suffix"] == []
    for name, words in (("two.tif", "2 pages"), ("thermal.png", "51200..51439"),
                        ("phone.HEIC", "pillow-heif"), ("", "1 .txt")):
        assert sum(name in line and words in line for line in stderr) == 1, name


def test_every_shared_case_is_read_or_reported(
    checkpoint: Path, shared_cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Without the two largest, which take seconds each.
    files = [file for file in sorted((shared_cases / "images").iterdir())
             if not file.name.startswith(("big", "huge"))]
    folder = tmp_path / "images"
    folder.mkdir()
    for file in files:
        (folder / file.name).symlink_to(file)
    code = main(["predict", str(checkpoint), str(folder), "--out", str(tmp_path / "out"),
                 "--device", "cpu", "--no-images"])
    stderr = capsys.readouterr().err
    document = json.loads((tmp_path / "out" / "detections.json").read_text())
    failed = {Path(entry["file"]).name for entry in document["failed"]}
    assert code == 1
    assert failed == {"cut.jpg", "float.tif", "heic.heic", "heic_named.jpg", "html.jpg",
                      "thin.png", "ycbcr.tif", "zero.jpg"}
    done = {Path(entry["file"]).name: entry.get("notes") for entry in document["images"]}
    assert set(done) | failed == {file.name for file in files}
    assert {name for name, notes in done.items() if notes} == {
        "animated.gif", "animated.png", "animated.webp", "pages.tif", "grey12in16.png",
        "thermal16.png"}
    assert all(f"/{name}: " in stderr for name in failed)
    assert "animated.gif: it has 2 frames" in stderr and "pages.tif" in stderr
