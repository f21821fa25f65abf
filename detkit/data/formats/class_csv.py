"""Csv files with the columns path and label, and perhaps split."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from detkit.data.classification.image_label import ClassRecord, RawClassSplit
from detkit.data.detection.annotations import SPLITS, split_word
from detkit.data.formats.read_file import open_text
from detkit.data.images.image_folder import ImageFolder, choose_folder, note_readings
from detkit.data.images.outside_files import note_outside
from detkit.data.report.class_aliases import tidy
from detkit.data.report.ledger import REFUSED, Ledger
from detkit.errors import DataError

COLUMNS = ("path", "label")
NEAR = {
    "path": ("filename", "file_name", "file", "filepath", "file_path", "image", "image_path",
             "img", "img_path", "image_id", "id", "name", "picture"),
    "label": ("class", "category", "class_name", "target", "labels", "y", "category_name", "tag"),
}
BOXES = {"x1", "y1", "x2", "y2", "xmin", "ymin", "xmax", "ymax"}
DELIMITERS = ",;\t"


def csv_kind(file: Path) -> str | None:
    """None when a csv file has the columns path and label; otherwise what it has instead.

    Raises:
        UnreadableFile: it cannot be read.
    """
    try:
        with open_text(file) as text:
            line = text.readline(1 << 16)
        names = _names(line)
    except (UnicodeDecodeError, csv.Error):
        return "not csv, or not text in UTF-8; save it as 'CSV UTF-8'"
    if "\0" in line:
        return "not text in UTF-8; save it as 'CSV UTF-8'"
    if set(COLUMNS) <= set(names):
        return None
    if not line.strip():
        return "the file is empty; expected a first line with the columns path and label"
    renames = [f"'{near}' to '{column}'" for column in COLUMNS if column not in names
               for near in NEAR[column] if near in names][:2]
    hint = f"; rename {' and '.join(renames)}" if renames else ""
    return (f"its first line has the columns {', '.join(names)[:120]}, expected path and label, "
            f"and perhaps split{hint}")


def read_class_csv(
    parts: dict[str, Path], ledger: Ledger, bound: Path,
) -> dict[str, RawClassSplit]:
    """Read the csv file of each split, or the one of all, and find its pictures.

    Paths start from the folder of the csv file, or are absolute: lists are mostly written for the
    machine that they lie on, so that pictures elsewhere are used, and noted. Lines that say the
    same are merged; a picture under two labels, an empty label and an unknown split are refused
    by line; a picture that is not there is left out.

    Args:
        parts: csv files by split.
        bound: the resolved folder of the data set.

    Raises:
        DataError: a file cannot be read as such a csv, or none of its pictures is there.
    """
    splits: dict[str, RawClassSplit] = {}
    declared: dict[str, dict[str, None]] = {}
    first_at: dict[str, tuple[Path, ClassRecord]] = {}
    for part, file in parts.items():
        rows = list(_rows(file, part, ledger))
        if not rows and not ledger.refused:
            raise DataError(f"{file}: it names no picture", do="add lines of path and label")
        folder = _folder_of(file, [record.path for _, record in rows], ledger)
        been: set[tuple[str, str]] = set()
        for name, record in rows:
            raw = splits.setdefault(name, RawClassSplit(name, file, folder.folder))
            declared.setdefault(name, {}).setdefault(record.label)
            place = {"file": str(file), "image": record.path, "split": name}
            found = folder.find(record.path)
            if found is None:
                ledger.add("missing_image", f"line {record.line}: there is no such file below "
                           f"{folder.folder}", "left out", **place)
                raw.left_out += 1
                continue
            key = os.path.normpath(os.path.join(folder.folder, found))
            other_file, other = first_at.setdefault(key, (file, record))
            there = f"line {other.line}" + (f" of {other_file}" if other_file != file else "")
            if other.label != record.label:
                ledger.add("picture_with_two_labels", f"line {record.line} labels it "
                           f"'{record.label}' and {there} '{other.label}'; a picture has one "
                           "label here", REFUSED, **place)
            elif (name, key) in been:
                ledger.add("duplicate_line", f"line {record.line} says the same as {there}",
                           "merged", **place)
            else:
                been.add((name, key))
                raw.records.append(record._replace(path=found))
        note_outside(sorted(folder.found), folder.folder, [bound, folder.folder], str(file), ledger)
        note_readings(folder, file.name, ledger)
    for name, raw in splits.items():
        raw.classes = list(declared[name])
    return {name: splits[name] for name in ("all", *SPLITS) if name in splits}


def _rows(file: Path, part: str, ledger: Ledger) -> Iterator[tuple[str, ClassRecord]]:
    """The split and record of each line that can be used."""
    wrong = csv_kind(file)
    if wrong is not None:
        raise DataError(f"{file}: {wrong}")
    try:
        with open_text(file) as text:
            delimiter = _delimiter(text.readline(1 << 16))
            text.seek(0)
            rows = csv.reader(text, delimiter=delimiter)
            names = [name.strip().lower() for name in next(rows)]
            _note_columns(file, names, delimiter, ledger)
            at = {name: names.index(name) for name in (*COLUMNS, "split") if name in names}
            for row in rows:
                if any(cell.strip() for cell in row):
                    done = _row(file, rows.line_num, row, at, part, ledger)
                    if done is not None:
                        yield done
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not text in UTF-8", do="save it as 'CSV UTF-8'") from error
    except csv.Error as error:
        raise DataError(f"{file}: not csv ({error})") from error


def _row(
    file: Path, line: int, row: Sequence[str], at: dict[str, int], part: str, ledger: Ledger
) -> tuple[str, ClassRecord] | None:
    cells = {name: row[index].strip() if index < len(row) else "" for name, index in at.items()}
    place = {"file": str(file), "image": cells["path"] or None,
             "split": part if part != "all" else None}
    label, name = tidy(cells["label"]), part
    if not cells["path"] or not label:
        empty = "path" if not cells["path"] else "label"
        open_quote = " (is a quotation mark open that begins in a line before it?)"
        ledger.add(f"empty_{empty}", f"line {line} has no {empty}"
                   + open_quote * ("\n" in cells["path"]), REFUSED, **place)
        return None
    if "split" in cells:
        word = split_word(cells["split"])
        if word is None:
            ledger.add("unknown_split", f"line {line} has the split '{cells['split']}', which is "
                       "none of train, val and test", REFUSED, **place)
            return None
        name = word
    return name, ClassRecord(cells["path"], label, None, line)


def _note_columns(file: Path, names: Sequence[str], delimiter: str, ledger: Ledger) -> None:
    if BOXES & set(names):
        raise DataError(f"{file}: it has columns of boxes, which are not read from a csv",
                        do="name the COCO or Pascal VOC folder that the boxes come from, or take "
                        "these columns out")
    if delimiter != ",":
        word = "semicolons" if delimiter == ";" else "tabs"
        ledger.notes.append(f"the columns of {file.name} are parted by {word}")
    twice = [column for column in (*COLUMNS, "split") if names.count(column) > 1]
    if twice:
        raise DataError(f"{file}: two columns are called '{twice[0]}'",
                        do="rename the one that is not meant")
    extra = [name or "''" for name in names if name not in (*COLUMNS, "split")]
    if extra:
        more = f" and {len(extra) - 5} more" if extra[5:] else ""
        ledger.notes.append(f"columns of {file.name} that are not read: "
                            + ", ".join(extra[:5]) + more)


def _folder_of(file: Path, names: Sequence[str], ledger: Ledger) -> ImageFolder:
    if not names:
        return ImageFolder(file.parent)
    folder = choose_folder(names, [[file.parent], [file.parent / "images"], [file.parent.parent]],
                           str(file))
    if folder.folder != file.parent:
        ledger.notes.append(f"the pictures of {file.name} are looked for in {folder.folder}")
    return folder


def _delimiter(line: str) -> str:
    """The one of comma, semicolon and tab that parts the column names."""
    return max(DELIMITERS, key=line.count)


def _names(line: str) -> list[str]:
    return [name.strip().lower() for row in csv.reader([line], delimiter=_delimiter(line))
            for name in row]
