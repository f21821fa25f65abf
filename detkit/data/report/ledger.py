"""The ledger: all issues of a data set, with location and resolution, and counts."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from detkit.data.report.issue import ERROR, Issue, IssueGroup, outcome_of
from detkit.errors import DataError
from detkit.files import atomic_replace
from detkit.text import printable, shorten

LOGGER = logging.getLogger("detkit")

EXAMPLES_PER_CODE = 3
# The rest is only counted: a million issues would take gigabytes.
MAX_ISSUES_PER_GROUP = 10_000
MAX_TEXT_CHARS = 1000
MAX_PATH_CHARS = 4096
MAX_CLASSES_LISTED = 20


@dataclass
class SplitCount:
    """Images and boxes of one split, used and not used."""

    images_used: int = 0
    images_left_out: int = 0
    boxes_used: int = 0
    boxes_left_out: int = 0


@dataclass
class Ledger:
    """The issues of a data set in the order in which they were found, and counts for each split.

    All issues are counted; of each group (code, split and outcome) the first 10,000 are kept.

    Args:
        source: the folder or file that was checked.
        splits: counts by split name.
        notes: decisions about the data set that are no issues, such as how it was divided.
        unit: what is counted: 'boxes' for detection; 'images' or 'crops' for classification.
        per_class: split name -> class name -> number used, in the order of the labels.

    Attributes:
        issues: those that are kept; may be empty.
        group_counts: the number of issues of each group, in the order of their first appearance.
    """

    source: str = ""
    splits: dict[str, SplitCount] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unit: str = "boxes"
    per_class: dict[str, dict[str, int]] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list, init=False)
    group_counts: Counter[IssueGroup] = field(default_factory=Counter, init=False)

    def add(self, code: str, message: str, resolution: str, **location: Any) -> None:
        """Count an issue, and keep it unless there are too many of its group.

        Args:
            code, message, resolution: as in ``Issue``; long texts are shortened.
            location: file, image, annotation and split, as in ``Issue``.
        """
        group = code, location.get("split"), outcome_of(resolution)
        self.group_counts[group] += 1
        if self.group_counts[group] > MAX_ISSUES_PER_GROUP:
            return
        if not isinstance(location.get("annotation"), (int, str, type(None))):
            # NaN, a list, an object: json has no word for the first, a message none for the rest.
            location["annotation"] = repr(location["annotation"])
        for name, limit in (("annotation", MAX_TEXT_CHARS), ("file", MAX_PATH_CHARS),
                            ("image", MAX_PATH_CHARS)):
            if isinstance(location.get(name), str):
                location[name] = shorten(location[name], limit)
        self.issues.append(
            Issue(code, shorten(message, MAX_TEXT_CHARS), shorten(resolution, MAX_TEXT_CHARS),
                  **location))

    def filter_by_code(self, code: str) -> list[Issue]:
        """The kept issues with a code; may be empty."""
        return [issue for issue in self.issues if issue.code == code]

    def count(self, code: str) -> int:
        """The number of issues with a code."""
        return self.counts.get(code, 0)

    @property
    def counts(self) -> dict[str, int]:
        """The number of issues by code, in the order of their first appearance."""
        counts: dict[str, int] = {}
        for (code, _, _), count in self.group_counts.items():
            counts[code] = counts.get(code, 0) + count
        return counts

    @property
    def errors(self) -> list[Issue]:
        """The kept issues that make the data unusable: at least one if there are any."""
        return [issue for issue in self.issues if issue.resolution == ERROR]

    @property
    def unlisted(self) -> dict[str, int]:
        """The number of issues by code that are counted and not kept; without zeros."""
        kept = Counter(issue.code for issue in self.issues)
        return {code: count - kept[code] for code, count in self.counts.items()
                if count > kept[code]}

    def map_resolutions(self, resolution_for: Callable[[str, str], str]) -> None:
        """Replace all resolutions.

        Args:
            resolution_for: the new resolution for a code and the previous resolution; for issues
                that are not kept, the previous one is 'refused', 'left out' or 'other'.
        """
        self.issues = [replace(issue, resolution=resolution_for(issue.code, issue.resolution))
                       for issue in self.issues]
        group_counts, self.group_counts = self.group_counts, Counter()
        for (code, split, outcome), count in group_counts.items():
            self.group_counts[code, split, outcome_of(resolution_for(code, outcome))] += count

    def remove(self, predicate: Callable[[Issue], bool]) -> None:
        """Remove issues; of a group without kept issues left, also those that are not kept."""
        kept: list[Issue] = []
        removed: Counter[IssueGroup] = Counter()
        for issue in self.issues:
            if predicate(issue):
                removed[issue.group] += 1
            else:
                kept.append(issue)
        self.issues = kept
        remaining = {issue.group for issue in kept}
        for group, count in removed.items():
            self.group_counts[group] -= count
            if group not in remaining:
                del self.group_counts[group]

    def prepend(self, other: Ledger) -> None:
        """Insert the issues and notes of another ledger before those of this one."""
        self.issues[:0] = other.issues
        self.notes[:0] = other.notes
        self.group_counts = Counter(other.group_counts) + self.group_counts

    def count_classes(self, split: str, labels: Iterable[str], classes: Sequence[str]) -> None:
        """Count the labels of one split."""
        counts = Counter(labels)
        self.per_class[split] = {name: counts[name] for name in classes}

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for a json file."""
        splits = {name: asdict(count) for name, count in self.splits.items()}
        for name, count in splits.items():
            if self.unit == "images":
                del count["boxes_used"], count["boxes_left_out"]
            if name in self.per_class:
                count["classes"] = self.per_class[name]
        content = {
            "source": self.source,
            "splits": splits,
            "counts": self.counts,
            "notes": self.notes,
            "faults": [issue.as_dict() for issue in self.issues],
        }
        return {**content, "unlisted": self.unlisted} if self.unlisted else content

    def write(self, path: Path) -> None:
        """Write the ledger as json; the file is replaced atomically."""
        write_json(path, self.as_dict(), indent=1)

    def split_summaries(self) -> list[str]:
        """One line for each split: what is used and what is not, and the number of each class."""
        lines = []
        for name, count in self.splits.items():
            if self.unit == "boxes":
                used = f"{count.images_used} images, {count.boxes_used} boxes"
                left_out = f"{count.images_left_out} images, {count.boxes_left_out} boxes"
            elif self.unit == "crops":
                used, left_out = f"{count.boxes_used} crops", f"{count.boxes_left_out}"
            else:
                used, left_out = f"{count.images_used} images", f"{count.images_left_out}"
            line = f"{name}: {used} used; not used: {left_out}"
            class_counts = self.per_class.get(name, {})
            if 0 < len(class_counts) <= MAX_CLASSES_LISTED:
                line += "; " + ", ".join(f"{label} {number}"
                                         for label, number in class_counts.items())
            lines.append(line)
        return lines

    def summary(self) -> list[str]:
        """Lines for the log: counts of each split, notes, then each code with examples."""
        lines = [*self.split_summaries(), *self.notes]
        for code, total in self.counts.items():
            issues = self.filter_by_code(code)
            lines.append(f"{code}: {self._split_counts(code)}; {_format_resolutions(issues)}")
            lines += [f"  {issue.location()}: {issue.message}".replace(f"{self.source}{os.sep}", "")
                      for issue in issues[:EXAMPLES_PER_CODE]]
            if total > EXAMPLES_PER_CODE:
                lines.append(f"  ... and {total - EXAMPLES_PER_CODE} more")
        return lines

    def log(self, written_to: Path | None = None) -> None:
        """Log the summary, one record per line; issues are warnings.

        Args:
            written_to: the file with all issues, to be named at the end.
        """
        for line in self.summary():
            is_issue = line.split(":")[0] in self.counts or line.startswith("  ")
            # File names may contain line breaks and escape codes; json may contain surrogates.
            LOGGER.log(logging.WARNING if is_issue else logging.INFO, "data: %s",
                       printable(line).encode("utf-8", "backslashreplace").decode())
        if written_to is not None and self.issues:
            total, num_unlisted = sum(self.group_counts.values()), sum(self.unlisted.values())
            which = f"all {total}" if not num_unlisted else f"{total - num_unlisted} of {total}"
            LOGGER.info("data: %s issues are listed in %s", which, written_to)

    def raise_errors(self, hint: str | None = None) -> None:
        """Raise where an issue makes the data unusable.

        Raises:
            DataError: states the first such issue and the number of others.
        """
        errors = self.errors
        if not errors:
            return
        count = sum(count for (_, _, outcome), count in self.group_counts.items()
                    if outcome == ERROR)
        more = f" (and {count - 1} more error{'s' * (count > 2)})" if count > 1 else ""
        raise DataError(f"{errors[0].location()}: {errors[0].message}{more}", hint=hint)

    def _split_counts(self, code: str) -> str:
        by_split: Counter[str | None] = Counter()
        for (other, split, _), count in self.group_counts.items():
            if other == code:
                by_split[split] += count
        total = sum(by_split.values())
        per_split = [f"{split} {count}" for split, count in by_split.items() if split is not None]
        return f"{total} ({', '.join(per_split)})" if per_split else str(total)


def _format_resolutions(issues: Iterable[Issue]) -> str:
    resolutions = list(dict.fromkeys(issue.resolution for issue in issues))
    more = ", ..." if len(resolutions) > EXAMPLES_PER_CODE else ""
    return ", ".join(resolutions[:EXAMPLES_PER_CODE]) + more


def write_json(path: Path, content: Any, indent: int | None = None) -> None:
    """Write a json file, replaced atomically; its folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_replace(path) as file:
        file.write(json.dumps(content, indent=indent, allow_nan=False))
