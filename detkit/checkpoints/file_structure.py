"""Checks of the structure of a checkpoint file, before anything in it is unpacked."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

from detkit.checkpoints.pickle_check import UnsafeCheckpointError, check_pickle

ZIP_MAGIC = b"PK\x03\x04"
_END, _LOCATOR, _END64 = b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
_END_SIZE, _LOCATOR_SIZE, _END64_SIZE = 22, 20, 56
_MAX_ENTRIES = 200_000
# Magic number, protocol version, system information, the object, and the keys of the storages.
_LEGACY_PICKLES = 5


def check_file_structure(file: Path) -> None:
    """Check that a torch file unpacks to no more than its size and that its pickle is safe.

    Args:
        file: a zip archive as torch.save writes it, or the pickles of its legacy format.

    Raises:
        UnsafeCheckpointError: an entry is compressed, entries overlap, or a tensor is larger than
            the file; also the errors of ``check_pickle``.
        zipfile.BadZipFile: the archive is truncated or damaged.
    """
    size = file.stat().st_size
    with open(file, "rb") as stream:
        if stream.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
            stream.seek(0)
            for _ in range(_LEGACY_PICKLES):
                check_pickle(stream, size)
            return
    _check_directory(file, size)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        _check_entries(entries, size)
        folder = entries[0].filename.partition("/")[0]
        # torch looks up its records case-insensitively.
        record_name = f"{folder}/data.pkl".lower()
        for entry in entries:
            if entry.filename.lower() == record_name:
                with archive.open(entry) as stream:
                    check_pickle(stream, size)


def verify_checksums(file: Path) -> None:
    """Compare every entry of a zip archive with its checksum, which torch does not do.

    Raises:
        zipfile.BadZipFile: a checksum does not match, or the archive is truncated.
    """
    with open(file, "rb") as stream:
        if stream.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
            return
    with zipfile.ZipFile(file) as archive:
        corrupt_entry = archive.testzip()
    if corrupt_entry is not None:
        raise zipfile.BadZipFile(f"the checksum of {corrupt_entry} does not match")


def _check_entries(entries: list[zipfile.ZipInfo], size: int) -> None:
    if not entries:
        raise zipfile.BadZipFile("an archive without entries")
    if len({entry.filename.lower() for entry in entries}) < len(entries):
        raise UnsafeCheckpointError("an archive with two entries of one name")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise UnsafeCheckpointError(
                f"a compressed entry, {entry.filename}, of {entry.file_size:,} bytes in "
                f"{entry.compress_size:,}; torch.save does not compress")
    total = sum(entry.file_size for entry in entries)
    if total > size:
        raise UnsafeCheckpointError(f"entries of {total:,} bytes in a file of {size:,}")


def _check_directory(file: Path, size: int) -> None:
    """Reject an archive in which zip readers could find different directories."""
    with open(file, "rb") as stream:
        stream.seek(max(size - _END_SIZE - _LOCATOR_SIZE - _END64_SIZE, 0))
        tail = stream.read()
    end = tail[-_END_SIZE:]
    if end[:4] != _END or end[-2:] != b"\0\0":
        raise zipfile.BadZipFile("the end of the archive is missing")
    count, length, start = struct.unpack("<HII", end[10:20])
    directory_end = size - _END_SIZE
    locator = tail[-_END_SIZE - _LOCATOR_SIZE:-_END_SIZE]
    if locator[:4] == _LOCATOR:
        directory_end -= _LOCATOR_SIZE + _END64_SIZE
        record = tail[:_END64_SIZE]
        if record[:4] != _END64 or struct.unpack("<Q", locator[8:16])[0] != directory_end:
            raise UnsafeCheckpointError("an archive with a second directory")
        count, length, start = struct.unpack("<QQQ", record[32:56])
    if start + length != directory_end:
        raise UnsafeCheckpointError("an archive with other content around its directory")
    if count > _MAX_ENTRIES:
        raise UnsafeCheckpointError(f"an archive of {count:,} entries")
