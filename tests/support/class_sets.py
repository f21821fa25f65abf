"""Small sets of labelled pictures written by tests: the same five pixels, each with its number."""

import io
from pathlib import Path

from PIL import Image


def numbered_jpeg(number: int) -> bytes:
    """A whole 8x8 JPEG whose comment is ``number``: no two have the same bytes, all one size."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 90)).save(stream, "JPEG")
    comment = f"{number:09d}".encode()
    # JPEG (ITU T.81): start of image, then a comment segment FFFE with its length, itself included.
    return (b"\xff\xd8\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
            + stream.getvalue()[2:])


class ImageSet:
    """Writes pictures below a folder; each one is different from all before."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.number = 0

    def draw(self, *paths: str) -> "ImageSet":
        for path in paths:
            self.number += 1
            file = self.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(numbered_jpeg(self.number))
        return self

    def fill(self, folder: str, count: int) -> "ImageSet":
        return self.draw(*(f"{folder}/{at}.jpg" for at in range(count)))

    def text(self, path: str, content: str = "") -> "ImageSet":
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
        return self


def read_list(data, split):
    """(path, label) of each line of a split's list."""
    lines = data.splits[split].annotation_file.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "path,label"
    return [tuple(line.split(",")) for line in lines[1:]]
