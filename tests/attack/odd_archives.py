"""Changes of a zip archive, such as a checkpoint or an exported program."""

from __future__ import annotations

import random
import zipfile
import zlib
from pathlib import Path
from typing import Any

GIB = 1 << 30


def entries(path: Path) -> list[tuple[str, bytes]]:
    """Names and contents."""
    with zipfile.ZipFile(path) as archive:
        return [(item.filename, archive.read(item)) for item in archive.infolist()]


def write_entries(path: Path, content: list[tuple[str, bytes]],
                  compression: int = zipfile.ZIP_STORED) -> None:
    """Write an archive; names may come twice."""
    import warnings

    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as archive:
        warnings.simplefilter("ignore")
        for name, raw in content:
            archive.writestr(zipfile.ZipInfo(name), raw, compression)


def zero_bomb(size: int) -> bytes:
    """A deflate stream of ``size`` zeros, a thousand times shorter than they are."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(b"\0" * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(b"\0" * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * (size // (1 << 20) - 1) + packer.flush()


def write_bomb(path: Path, content: list[tuple[str, bytes]], name: str, size: int) -> None:
    """The archive with the entry ``name`` a bomb of ``size`` zeros."""
    packed = zero_bomb(size)
    write_entries(path, [(other, packed if other == name else raw) for other, raw in content])
    # The stored bytes are called deflated, in both headers: method 8, and the size inflated.
    raw = bytearray(path.read_bytes())
    crc = zlib.crc32(packed).to_bytes(4, "little")
    sizes = len(packed).to_bytes(4, "little")
    for at in _all(raw, crc + sizes + sizes):
        raw[at + 8:at + 12] = min(size, 2**32 - 2).to_bytes(4, "little")
        raw[at - 6:at - 4] = (8).to_bytes(2, "little")
    path.write_bytes(raw)


def _all(raw: bytearray, part: bytes) -> list[int]:
    offsets, at = [], raw.find(part)
    while at >= 0:
        offsets.append(at)
        at = raw.find(part, at + 1)
    return offsets


def corrupt_archive(path: Path, rng: random.Random, replace: list[bytes] = []) -> str:
    """Change the archive at one place; returns what was done.

    Args:
        path: a zip archive, changed in place.
        rng: chooses.
        replace: contents that an entry may be replaced by, such as pickles that run code.
    """
    try:
        content = entries(path)
    except Exception:  # changed before, and none any more
        return corrupt_bytes(path, rng)
    at = rng.randrange(len(content))
    name, raw = content[at]
    kind = rng.choice(("deflate", "bomb", "bomb", "twice", "rename", "outside", "drop", "short",
                       "long", "bytes", "bytes", "cut", "replace", "replace", "add", "header",
                       "comment", "empty", "order"))
    if kind == "deflate":
        write_entries(path, content, rng.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2,
                                                 zipfile.ZIP_LZMA]))
    elif kind == "bomb":
        size = rng.choice([64 << 20, 2 * GIB, 3 * GIB])
        write_bomb(path, content, name, size)
        return f"bomb of {size >> 20} MiB in {name}"
    elif kind == "header" or kind == "bytes":
        file_bytes = bytearray(path.read_bytes())
        begin = len(file_bytes) - 4000 if kind == "header" else 0
        for _ in range(rng.choice([1, 5])):
            where = rng.randrange(max(begin, 0), len(file_bytes))
            file_bytes[where] = rng.randrange(256)
        path.write_bytes(file_bytes)
    elif kind == "cut":
        file_bytes = path.read_bytes()
        path.write_bytes(file_bytes[:rng.randrange(len(file_bytes))])
    elif kind == "comment":
        file_bytes = path.read_bytes()
        path.write_bytes(file_bytes[:-2] + b"\xff\xff" + b"x" * 0xffff)
    else:
        change_entries(content, at, kind, rng, replace)
        write_entries(path, content)
    return f"{kind} {name}"


def change_entries(content: list[tuple[str, bytes]], at: int, kind: str, rng: random.Random,
                   replace: list[bytes]) -> None:
    """Change the list of entries at ``at``."""
    name, raw = content[at]
    if kind == "twice":
        content.append((name, rng.choice([raw, b"", *replace])))
    elif kind == "rename":
        content[at] = (rng.choice([name + "x", "x/" + name, name.upper(), "", "a\0b"]), raw)
    elif kind == "outside":
        content.append((rng.choice(["../beside/out.txt", "/etc/passwd", "..\\x"]), b"outside"))
    elif kind == "drop":
        del content[at]
    elif kind == "short":
        content[at] = (name, raw[:len(raw) // 2])
    elif kind == "long":
        content[at] = (name, raw + b"\0" * 1000)
    elif kind == "empty":
        content[at] = (name, b"")
    elif kind == "order":
        rng.shuffle(content)
    elif kind == "add":
        top = name.partition("/")[0]
        inner = rng.choice(["code/x.py", "constants.pkl", "data.pkl", "extra/a"])
        content.append((f"{top}/{inner}", rng.choice([*replace, b"x"])))
    elif replace:
        content[at] = (name, rng.choice(replace))


def corrupt_bytes(path: Path, rng: random.Random) -> str:
    """Change a file of any kind as bytes; returns what was done."""
    raw: Any = bytearray(path.read_bytes())
    kind = rng.choice(("byte", "bytes", "cut", "zeros", "random", "empty", "grown", "ones"))
    at = rng.randrange(len(raw) or 1)
    if not raw:
        raw = bytearray(rng.randbytes(100))
    if kind in ("byte", "bytes"):
        for _ in range(1 if kind == "byte" else 30):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
    elif kind == "cut":
        raw = raw[:at]
    elif kind == "zeros":
        raw[at:at + 64] = b"\0" * len(raw[at:at + 64])
    elif kind == "ones":
        raw[at:at + 8] = b"\xff" * len(raw[at:at + 8])
    else:
        raw = {"random": rng.randbytes(500), "empty": b"", "grown": raw + raw}[kind]
    path.write_bytes(raw)
    return f"{kind} at {at} of {path.name}"
