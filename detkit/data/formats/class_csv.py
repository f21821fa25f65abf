"""Read csv files with the columns path and label, and optionally split."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from detkit.data.classification.image_label import ImageLabel, RawClassificationSplit
from detkit.data.detection.annotations import SPLITS, split_from_name
from detkit.data.formats.read_file import open_text
from detkit.data.images.image_folder import ImageFolder, choose_folder, note_name_variants
from detkit.data.images.outside_files import note_outside_images
from detkit.data.report.class_aliases import normalize_name
from detkit.data.report.issue import ERROR
from detkit.data.report.ledger import Ledger
from detkit.errors import DataError
from detkit.text import list_names

COLUMNS = ("path", "label")
COLUMN_SYNONYMS = {
    "path": ("filename", "file_name", "file", "filepath", "file_path", "image", "image_path",
             "img", "img_path", "image_id", "id", "name", "picture"),
    "label": ("class", "category", "class_name", "target", "labels", "y", "category_name", "tag"),
}
BOX_COLUMNS = {"x1", "y1", "x2", "y2", "xmin", "ymin", "xmax", "ymax"}
DELIMITERS = ",;\t"
MAX_LISTED = 5


def csv_format_error(file: Path) -> str | None:
    """Why a file is not a csv with the columns path and label; None when it is one.

    Raises:
        UnreadableFileError: it cannot be read.
    """
    try:
        with open_text(file) as text:
            line = text.readline(1 << 16)
        names = _read_header(line)
    except (UnicodeDecodeError, csv.Error):
        return "not csv, or not text in UTF-8; save it as 'CSV UTF-8'"
    if "\0" in line:
        return "not text in UTF-8; save it as 'CSV UTF-8'"
    if set(COLUMNS) <= set(names):
        return None
    if not line.strip():
        return "the file is empty; expected a first line with the columns path and label"
    renames = [f"'{synonym}' to '{column}'" for column in COLUMNS if column not in names
               for synonym in COLUMN_SYNONYMS[column] if synonym in names][:2]
    hint = f"; rename {' and '.join(renames)}" if renames else ""
    return (f"its first line has the columns {', '.join(names)[:120]}, expected path and label, "
            f"and perhaps split{hint}")


def read_class_csv(
    csv_files: dict[str, Path], ledger: Ledger, allowed_dir: Path,
) -> dict[str, RawClassificationSplit]:
    """Read the csv file of each split, or the single one, and find its images.

    Paths are relative to the folder of the csv file, or absolute. Images outside of the data set
    are used and noted: a csv is usually written on the machine that reads it. Duplicate lines are
    merged; a missing image is left out; an image with two labels, an empty label and an unknown
    split are errors, reported by line.

    Args:
        csv_files: csv files by split.
        ledger: receives the issues.
        allowed_dir: the resolved folder of the data set.

    Raises:
        DataError: a file is not such a csv, or none of its images exists.
    """
    splits: dict[str, RawClassificationSplit] = {}
    declared: dict[str, dict[str, None]] = {}
    first_uses: dict[str, tuple[Path, ImageLabel]] = {}
    for split, file in csv_files.items():
        rows = list(_read_rows(file, split, ledger))
        if not rows and not ledger.errors:
            raise DataError(f"{file}: it lists no image", hint="add lines of path and label")
        folder = _find_image_folder(file, [record.path for _, record in rows], ledger)
        used: set[tuple[str, str]] = set()
        for name, record in rows:
            raw = splits.setdefault(name, RawClassificationSplit(name, file, folder.folder))
            declared.setdefault(name, {}).setdefault(record.label)
            location = {"file": str(file), "image": record.path, "split": name}
            resolved = folder.find(record.path)
            if resolved is None:
                ledger.add("missing_image", f"line {record.line}: there is no such file below "
                           f"{folder.folder}", "left out", **location)
                raw.left_out += 1
                continue
            key = os.path.normpath(os.path.join(folder.folder, resolved))
            first_file, first_label = first_uses.setdefault(key, (file, record))
            first_line = f"line {first_label.line}" + (f" of {first_file}"
                                                       if first_file != file else "")
            if first_label.label != record.label:
                ledger.add(
                    "picture_with_two_labels", f"line {record.line} labels it "
                    f"'{record.label}' and {first_line} '{first_label.label}'; an image must have "
                    "one label", ERROR, **location)
            elif (name, key) in used:
                ledger.add("duplicate_line", f"line {record.line} repeats {first_line}",
                           "merged", **location)
            else:
                used.add((name, key))
                raw.records.append(record._replace(path=resolved))
        note_outside_images(sorted(folder.found_paths), folder.folder, [allowed_dir, folder.folder],
                            str(file), ledger)
        note_name_variants(folder, file.name, ledger)
    for name, raw in splits.items():
        raw.classes = list(declared[name])
    return {name: splits[name] for name in ("all", *SPLITS) if name in splits}


def _read_rows(file: Path, split: str, ledger: Ledger) -> Iterator[tuple[str, ImageLabel]]:
    """The split and record of each valid line."""
    problem = csv_format_error(file)
    if problem is not None:
        raise DataError(f"{file}: {problem}")
    try:
        with open_text(file) as text:
            delimiter = _detect_delimiter(text.readline(1 << 16))
            text.seek(0)
            rows = csv.reader(text, delimiter=delimiter)
            names = [name.strip().lower() for name in next(rows)]
            _check_columns(file, names, delimiter, ledger)
            column_index = {
                name: names.index(name)
                for name in (*COLUMNS, "split")
                if name in names
            }
            for row in rows:
                if any(cell.strip() for cell in row):
                    entry = _parse_row(file, rows.line_num, row, column_index, split, ledger)
                    if entry is not None:
                        yield entry
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not text in UTF-8", hint="save it as 'CSV UTF-8'") from error
    except csv.Error as error:
        raise DataError(f"{file}: not csv ({error})") from error


def _parse_row(file: Path, line: int, row: Sequence[str], column_index: dict[str, int], split: str,
               ledger: Ledger) -> tuple[str, ImageLabel] | None:
    cells = {
        name: row[index].strip() if index < len(row) else ""
        for name, index in column_index.items()
    }
    location = {
        "file": str(file), "image": cells["path"] or None,
        "split": split if split != "all" else None
    }
    label, name = normalize_name(cells["label"]), split
    if not cells["path"] or not label:
        empty = "path" if not cells["path"] else "label"
        open_quote = " (is a quotation mark of an earlier line not closed?)"
        ledger.add(f"empty_{empty}", f"line {line} has no {empty}"
                   + open_quote * ("\n" in cells["path"]), ERROR, **location)
        return None
    if "split" in cells:
        word = split_from_name(cells["split"])
        if word is None:
            ledger.add("unknown_split", f"line {line} has the split '{cells['split']}'; expected "
                       "train, val or test", ERROR, **location)
            return None
        name = word
    return name, ImageLabel(cells["path"], label, None, line)


def _check_columns(file: Path, names: Sequence[str], delimiter: str, ledger: Ledger) -> None:
    if BOX_COLUMNS & set(names):
        raise DataError(f"{file}: it has box columns, which are not read from a csv",
                        hint="use the COCO or Pascal VOC folder that the boxes come from, or "
                        "remove these columns")
    if delimiter != ",":
        word = "semicolons" if delimiter == ";" else "tabs"
        ledger.notes.append(f"the columns of {file.name} are separated by {word}")
    duplicates = [column for column in (*COLUMNS, "split") if names.count(column) > 1]
    if duplicates:
        raise DataError(f"{file}: two columns are called '{duplicates[0]}'",
                        hint="rename or remove one of them")
    ignored_columns = [name or "''" for name in names if name not in (*COLUMNS, "split")]
    if ignored_columns:
        ledger.notes.append(f"columns of {file.name} that are not read: "
                            + list_names(ignored_columns, MAX_LISTED))


def _find_image_folder(file: Path, names: Sequence[str], ledger: Ledger) -> ImageFolder:
    if not names:
        return ImageFolder(file.parent)
    folder = choose_folder(names, [[file.parent], [file.parent / "images"], [file.parent.parent]],
                           str(file))
    if folder.folder != file.parent:
        ledger.notes.append(f"the images of {file.name} are read from {folder.folder}")
    return folder


def _detect_delimiter(line: str) -> str:
    """The delimiter of the column names: comma, semicolon or tab."""
    return max(DELIMITERS, key=line.count)


def _read_header(line: str) -> list[str]:
    return [name.strip().lower() for row in csv.reader([line], delimiter=_detect_delimiter(line))
            for name in row]
