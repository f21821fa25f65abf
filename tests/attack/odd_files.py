"""Special files in place of a file or folder, and images that are invalid or far too large."""

from __future__ import annotations

import io
import os
import random
import shutil
import socket
import struct
import zlib
from pathlib import Path

from PIL import Image, UnidentifiedImageError

NAMES = ("a\nb.png", "\x1b[2Jx.png", "-rf.png", "a'b\".png", "%d.png", "con.png",
         "x" * 240 + ".png", "\u202egnp.png", " .png", ".png", "a;b,c.png", "#.png", "~.png",
         "$HOME.png")


def png_of_size(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG whose header names a size, with hardly any pixels behind it."""
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (struct.pack(">I", len(content)) + kind + content
                + struct.pack(">I", zlib.crc32(kind + content)))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
            + chunk(b"IDAT", zlib.compress(rows or b"\0" * 1000)) + chunk(b"IEND", b""))


def odd_image(rng: random.Random, file_bytes: bytes) -> tuple[bytes, str]:
    """The bytes of an image file with something odd; ``whole`` are a good one's."""
    kind = rng.choice(("cut", "bomb", "bomb", "deflated", "animated", "deep", "float", "turned",
                       "byte", "empty", "text", "gif", "tiff", "palette", "svg", "pages", "zero"))
    stream = io.BytesIO()
    if kind == "cut":
        return file_bytes[:rng.randrange(len(file_bytes))], "image cut"
    if kind == "byte":
        at = rng.randrange(len(file_bytes))
        return file_bytes[:at] + rng.randbytes(3) + file_bytes[at + 3:], f"image bytes at {at}"
    if kind == "bomb":
        side = rng.choice([(60_000, 60_000), (2**31 - 1, 1), (1, 2**31 - 1), (13_000, 13_000)])
        return png_of_size(*side), f"PNG of {side}"
    if kind == "deflated":  # Every row is there: black deflates to a thousandth.
        side = 12_000
        return png_of_size(side, side, b"\0" * (side * (3 * side + 1) // 8)), "PNG that inflates"
    if kind == "zero":
        return png_of_size(0, rng.choice([0, 5])), "PNG of no pixels"
    if kind in ("empty", "text", "svg"):
        return {"empty": b"", "text": b"no image", "svg": b"<svg xmlns='http://www.w3.org/2000/svg'"
                b" width='9' height='9'/>"}[kind], f"{kind} image"
    try:
        opened = Image.open(io.BytesIO(file_bytes))
    except UnidentifiedImageError:  # a change before this one spoiled it
        return file_bytes[1:], "image cut in front"
    with opened as image:
        image = image.convert("RGB")
        if kind in ("animated", "gif"):
            image.save(stream, "GIF", save_all=True,
                       append_images=[image.rotate(90 * at) for at in (1, 2)])
        elif kind == "pages":
            image.save(stream, "TIFF", save_all=True, append_images=[image] * 200)
        elif kind == "deep":
            image.convert("I").point(lambda value: value * 257).convert("I;16").save(stream, "PNG")
        elif kind in ("float", "tiff"):
            image.convert("F" if kind == "float" else "CMYK").save(stream, "TIFF")
        elif kind == "palette":
            image.convert("P").save(stream, "PNG", transparency=0)
        else:
            tags = Image.Exif()
            tags[0x0112] = rng.choice([0, 3, 6, 8, 9, 65535])
            image.save(stream, "JPEG", exif=tags.tobytes())
    return stream.getvalue(), f"{kind} image"


def replace_with_special_file(path: Path, rng: random.Random, outside_dir: Path) -> str:
    """Put something that is no common file in the place of ``path``; returns what."""
    kind = rng.choice(("pipe", "socket", "device", "zero", "loop", "dangling", "outside", "self",
                       "folder", "secret", "sparse", "closed"))
    content = path.read_bytes() if path.is_file() else b""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        if len(os.fsencode(path)) > 100:
            os.mkfifo(path)
        else:
            socket.socket(socket.AF_UNIX).bind(str(path))
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "zero":
        path.symlink_to("/dev/tty")
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "dangling":
        path.symlink_to("nowhere/at/all")
    elif kind == "outside":
        (outside_dir / path.name).write_bytes(content)
        path.symlink_to(outside_dir / path.name)
    elif kind == "self":
        path.symlink_to(path.parent, target_is_directory=True)
    elif kind == "secret":
        path.symlink_to(outside_dir / "secret.txt")
    elif kind == "sparse":
        with path.open("wb") as stream:
            stream.write(content[:100])
            stream.truncate(3 << 30)
    elif kind == "closed":
        path.write_bytes(content)
        path.chmod(0)
    else:
        path.mkdir()
    return f"{kind} in place of {path.name}"
