"""The csv of a checked classification split: paths, class names and, for crops, boxes."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from detkit.data.classification.image_label import ImageLabel
from detkit.data.formats.read_file import UnreadableFileError, open_text
from detkit.errors import DataError
from detkit.files import atomic_replace

HEADER = ["path", "label"]
BOX_HEADER = ["x1", "y1", "x2", "y2"]


def write_image_labels(file: Path, records: Iterable[ImageLabel], boxes: bool = False) -> None:
    """Write the csv of a split; the file is replaced atomically.

    Args:
        file: the csv file; its folder is created.
        records: may be empty.
        boxes: whether to write four more columns, the corners of the boxes.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_replace(file) as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(HEADER + BOX_HEADER if boxes else HEADER)
        for record in records:
            corners = tuple(map(repr, record.box)) if boxes and record.box is not None else ()
            rows.writerow((record.path, record.label, *corners))


def read_image_labels(file: Path) -> Iterator[ImageLabel]:
    """Iterate over the records of such a csv; none for a file with only a header.

    Raises:
        DataError: the file is missing or not such a csv; a line is incomplete or has an invalid
            box.
    """
    try:
        with open_text(file, errors="surrogateescape") as text:
            rows = csv.reader(text)
            header = [name.strip() for name in next(rows, [])]
            if header not in (HEADER, HEADER + BOX_HEADER):
                raise DataError(f"{file}: not a csv of labeled images",
                                got=f"the first line '{','.join(header)[:80]}'",
                                expected=f"'{','.join(HEADER)}' or "
                                f"'{','.join(HEADER + BOX_HEADER)}'")
            for row in rows:
                if row:
                    yield _parse_row(file, rows.line_num, row, len(header))
    except UnreadableFileError as error:
        reason = str(error).removeprefix(f"{file}: ")
        raise DataError(f"{file}: the csv of images {reason}",
                        hint="set ann_file of the dataset to the csv file") from error
    except csv.Error as error:
        raise DataError(f"{file}: not csv ({error})") from error


def _parse_row(file: Path, line: int, row: list[str], columns: int) -> ImageLabel:
    if len(row) != columns or not row[0] or not row[1]:
        raise DataError(f"{file}, line {line}: not a path and a label"
                        + (" and four numbers" if columns > 2 else ""), got=",".join(row)[:80])
    if columns == 2:
        return ImageLabel(row[0], row[1], None, line)
    try:
        x1, y1, x2, y2 = map(float, row[2:])
    except ValueError:
        x1 = y1 = x2 = y2 = 0.0
    if not (x1 < x2 < float("inf") and y1 < y2 < float("inf")):  # False for nan, too
        raise DataError(f"{file}, line {line}: not a valid box", got=",".join(row[2:])[:80],
                        expected="x1 < x2 and y1 < y2, in pixels")
    return ImageLabel(row[0], row[1], (x1, y1, x2, y2), line)
