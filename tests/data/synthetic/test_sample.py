"""The files of the built-in sample."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from detkit.data.synthetic.object_shapes import CLASSES
from detkit.data.synthetic.sample import ensure_sample, ensure_sample_video, make_sample
from detkit.errors import DataError, MissingExtraError

COUNTS = {"train": 14, "val": 10, "test": 10}
SIZES = {"size_hw": (120, 160), "video_size_hw": (96, 128)}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sample(tmp_path_factory.mktemp("s") / "sample", 3, COUNTS, video_frames=6, **SIZES)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def run_python(code: str, *arguments: object, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_same_seed_gives_same_bytes_in_another_process_with_other_threads(sample, tmp_path):
    code = (
        "import sys, random, cv2, numpy; from pathlib import Path\n"
        "random.seed(9); numpy.random.seed(9); cv2.setNumThreads(3); cv2.setRNGSeed(9)\n"
        "from detkit.data.synthetic.sample import make_sample\n"
        f"make_sample(Path(sys.argv[1]), 3, {COUNTS}, video_frames=6, **{SIZES})"
    )
    process = run_python(code, tmp_path / "again", PYTHONHASHSEED="77", OMP_NUM_THREADS="2")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert digests(tmp_path / "again") == digests(sample)


def test_other_seed_gives_other_images_and_video(sample, tmp_path):
    other = make_sample(tmp_path / "other", 4, COUNTS, video_frames=6, **SIZES)
    shared = set(digests(other).values()) & set(digests(sample).values())
    assert shared == set()


def test_larger_counts_keep_the_first_images(sample, tmp_path):
    small_counts = {"train": 3, "val": 2, "test": 1}
    small = make_sample(tmp_path / "small", 3, small_counts, size_hw=(120, 160), video_frames=0)
    full = digests(sample)
    images = {n: d for n, d in digests(small).items() if n.endswith(".jpg")}
    assert len(images) == 6
    assert images == {name: full[name] for name in images}


def test_all_images_are_different(sample):
    images = [digest for name, digest in digests(sample).items() if name.endswith(".jpg")]
    assert len(images) == len(set(images)) == 34


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_pycocotools_loads_each_split_and_finds_every_class(sample, split):
    ground_truth = COCO(sample / "annotations" / f"{split}.json")
    assert len(ground_truth.getImgIds()) == COUNTS[split]
    assert [c["name"] for c in ground_truth.loadCats(ground_truth.getCatIds())] == list(CLASSES)
    assert len(CLASSES) == 10
    assert {a["category_id"]
            for a in ground_truth.loadAnns(ground_truth.getAnnIds())} == set(range(1, 11))
    assert ground_truth.getAnnIds() == list(range(1, len(ground_truth.getAnnIds()) + 1))


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_images_have_the_requested_size_and_contain_all_boxes(sample, split):
    ground_truth = json.loads((sample / "annotations" / f"{split}.json").read_text())
    for image in ground_truth["images"]:
        with Image.open(sample / split / image["file_name"]) as opened:
            assert opened.size == (image["width"], image["height"]) == (160, 120)
    assert {a["image_id"]
            for a in ground_truth["annotations"]} == {i["id"]
                                                      for i in ground_truth["images"]}
    for annotation in ground_truth["annotations"]:
        x, y, width, height = annotation["bbox"]
        assert all(isinstance(number, int) for number in annotation["bbox"])
        assert 0 <= x < x + width <= 160 and 0 <= y < y + height <= 120
        assert annotation["area"] == width * height


def test_non_empty_folder_raises_and_is_unchanged(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        make_sample(tmp_path, counts=COUNTS)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": -1}, "seed"),
        ({"counts": {"training": 3}}, "train, val or test"),
        ({"counts": {"val": 0}}, "1 or more"),
        ({"size_hw": (20, 20)}, "128x96"),
        ({"video_size_hw": (97, 128)}, "even"),
        ({"video_frames": -1}, "0 frames or more"),
    ],
    ids=["seed", "split", "count", "size", "odd", "frames"],
)
def test_out_of_range_arguments_raise(tmp_path, arguments, words):
    with pytest.raises(DataError, match=words):
        make_sample(tmp_path / "sample", **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("stop", "leaves"), [(signal.SIGINT, 0), (signal.SIGKILL, 1)], ids=["interrupted", "killed"]
)
def test_interrupted_make_leaves_no_partial_set(tmp_path, stop, leaves):
    code = (
        "import sys; from pathlib import Path\n"
        "from detkit.data.synthetic.sample import make_sample\n"
        "make_sample(Path(sys.argv[1]))"
    )
    process = run_python(code, tmp_path / "sample")
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".sample-*/train/000003.jpg")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(stop)
    process.communicate(timeout=60)
    assert process.returncode != 0
    # An interrupted process removes its temporary folder; a killed one cannot.
    assert len(list(tmp_path.iterdir())) == len(list(tmp_path.glob(".sample-*/train"))) == leaves
    make_sample(tmp_path / "sample", 0, COUNTS, video_frames=0, **SIZES)
    assert (tmp_path / "sample" / "annotations" / "test.json").is_file()


def test_without_pyav_only_the_video_is_missing_with_a_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "av", None)  # as if it were not installed
    make_sample(tmp_path / "sample", 3, COUNTS, video_frames=6, **SIZES)
    (line,) = caplog.messages
    assert "video was not made" in line and "pip install 'detkit[video]'" in line
    names = sorted(file.name for file in (tmp_path / "sample").iterdir())
    assert names == ["README.txt", "annotations", "test", "train", "val"]


def test_cached_sample_is_reused_and_missing_video_added(tmp_path, monkeypatch):
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path))
    monkeypatch.setattr("detkit.data.synthetic.sample.COUNTS", {"train": 2, "val": 1, "test": 1})
    monkeypatch.setattr("detkit.data.synthetic.sample.VIDEO_FRAMES", 2)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "av", None)
        folder = ensure_sample(5)
        with pytest.raises(MissingExtraError, match="detkit"):
            ensure_sample_video(5)
    assert folder.parent == tmp_path and folder.name.endswith("-5")
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.jpg")}
    assert len(before) == 4 and not (folder / "video.mp4").exists()
    video = ensure_sample_video(5)
    assert video.is_file() and len(json.loads((folder / "video.json").read_text())["images"]) == 2
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*.jpg")} == before
    assert not list(folder.glob(".video*"))


def test_unwritable_cache_raises_with_a_hint(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match="set DETKIT_CACHE"):
        ensure_sample(5)


def test_images_differ_in_brightness(sample):
    files = sorted((sample / "train").glob("*.jpg"))
    means = [np.asarray(Image.open(file)).mean() for file in files]
    assert max(means) - min(means) > 40
