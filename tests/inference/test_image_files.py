"""Finding image files, and naming their visualizations."""

import os
from pathlib import Path

import pytest

from detkit.data.images.read_image import read_image
from detkit.errors import DataError
from detkit.inference.image_files import OutputNames, find_images, summarize_skipped


def make_files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_folder_is_searched_recursively_in_order(tmp_path: Path) -> None:
    make_files(tmp_path, "b.JPG", "a.png", "notes.txt", ".hidden.jpg", "sub/c.webp", ".git/d.jpg")
    assert [path.relative_to(tmp_path).as_posix() for path in find_images([tmp_path])] == [
        "a.png", "b.JPG", "sub/c.webp",
    ]


def test_images_without_image_suffix_are_found_and_others_skipped(tmp_path: Path) -> None:
    make_files(tmp_path, "a.png", "b.heic", "c.NEF", "notes.txt", "old.TXT", "empty", ".hidden")
    (tmp_path / "d").write_bytes(b"\x89PNG\r\n\x1a\n")
    others: list[Path] = []
    images = find_images([tmp_path], others.append)
    assert [path.name for path in images] == ["a.png", "b.heic", "c.NEF", "d"]
    assert [path.name for path in others] == ["empty", "notes.txt", "old.TXT"]
    assert summarize_skipped(others) == "2 .txt, 1 without a suffix"


def test_named_pipe_in_folder_does_not_block(tmp_path: Path) -> None:
    make_files(tmp_path, "a.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone.png")
    for name in ("pipe", "pipe.png"):
        os.mkfifo(tmp_path / name)
    others: list[Path] = []
    images = find_images([tmp_path], others.append)
    assert [path.name for path in images] == ["a.png", "broken.png", "pipe.png"]
    assert [path.name for path in others] == ["pipe"]
    with pytest.raises(DataError, match="pipe.png: it is a named pipe"):
        read_image(images[-1])


def test_given_file_is_included_once_whatever_its_suffix(tmp_path: Path) -> None:
    make_files(tmp_path, "a.dat", "b.jpg")
    named = [tmp_path / "b.jpg", tmp_path / "a.dat", tmp_path, tmp_path / "." / "b.jpg"]
    assert [path.name for path in find_images(named)] == ["b.jpg", "a.dat"]


@pytest.mark.parametrize("paths, message", [
    ([], "no images: got no paths"),
    (["empty"], "no images: got .*empty"),
    (["empty", "missing.jpg"], "missing.jpg: no such file or folder"),
], ids=["nothing", "empty-folder", "missing"])
def test_no_images_raise_data_error(tmp_path: Path, paths: list[str], message: str) -> None:
    make_files(tmp_path, "empty/notes.txt")
    with pytest.raises(DataError, match=message):
        find_images([tmp_path / path for path in paths])


def test_output_names_do_not_collide() -> None:
    names = OutputNames()
    files = ["x/a.png", "y/a.jpg", "z/A.jpg", "x/a_2.jpg", "x/b"]
    assert [names.name_for(Path(file)) for file in files] == [
        "a.jpg", "a_2.jpg", "A_3.jpg", "a_2_2.jpg", "b.jpg",
    ]
