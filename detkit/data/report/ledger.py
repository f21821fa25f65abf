"""The ledger: every fault found in a data set, where it stands and what was done about it."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Union

from detkit.errors import DataError
from detkit.text import printable, shorten

LOGGER = logging.getLogger("detkit")

REFUSED = "refused"
LEFT_OUT = "left out"
EXAMPLES_PER_KIND = 3
# Of each kind in each split; the rest is counted. A million findings would take gigabytes.
MOST_LISTED = 10_000
MOST_TEXT = 1000
LONGEST_PATH = 4096


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that does not fit.

    Args:
        kind: short name, the same for all faults of a sort, such as ``zero_size_box``.
        what: the finding as a sentence with its numbers.
        action: what was done: left out, clipped, merged, kept, refused, ...
        file: the file at fault, or that names the image; '' for the set as a whole.
        image: file name of the image, when the fault is about one.
        annotation: the annotation's own id in its file, or its ordinal from 1 in a VOC file.
        split: train, val or test, when the fault is in one.
    """

    kind: str
    what: str
    action: str
    file: str = ""
    image: str | None = None
    annotation: Any = None
    split: str | None = None

    def place(self) -> str:
        """Where it stands, for a message."""
        parts = [self.file] if self.file else []
        if self.annotation is not None:
            parts.append(f"annotation {self.annotation}")
        if self.image is not None and self.image != self.file:
            parts.append(f"image '{self.image}'")
        return ", ".join(parts) or "data set"

    @property
    def sort(self) -> Sort:
        """What it is counted under."""
        return self.kind, self.split, _outcome(self.action)


# Kind, split, and outcome: 'refused', 'left out' or 'other'.
Sort = tuple[str, Union[str, None], str]


def _outcome(action: str) -> str:
    if action == REFUSED:
        return REFUSED
    return LEFT_OUT if action.startswith(LEFT_OUT) else "other"


@dataclass
class SplitCount:
    """Images and boxes of one split, used and not used."""

    images_used: int = 0
    images_left_out: int = 0
    boxes_used: int = 0
    boxes_left_out: int = 0


@dataclass
class Ledger:
    """Faults in the order in which they were found, and counts for each split.

    All faults are counted; of each sort the first 10,000 are kept.

    Args:
        source: folder or file that was looked at.
        splits: counts by split name.
        notes: decisions about the whole set that are no faults, such as a split that was made.

    Attributes:
        faults: those that are kept; may be empty.
        tally: how many there are of each sort, in the order of their first appearance.
    """

    source: str = ""
    splits: dict[str, SplitCount] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list, init=False)
    tally: Counter[Sort] = field(default_factory=Counter, init=False)

    def add(self, kind: str, what: str, action: str, **place: Any) -> None:
        """Count one fault, and keep it unless there are many of its sort.

        ``place`` is file, image, annotation and split, as in ``Fault``; long texts are cut.
        """
        sort = kind, place.get("split"), _outcome(action)
        self.tally[sort] += 1
        if self.tally[sort] > MOST_LISTED:
            return
        if not isinstance(place.get("annotation"), (int, str, type(None))):
            # NaN, a list, an object: json has no word for the first, a message none for the rest.
            place["annotation"] = repr(place["annotation"])
        for name, limit in (("annotation", MOST_TEXT), ("file", LONGEST_PATH),
                            ("image", LONGEST_PATH)):
            if isinstance(place.get(name), str):
                place[name] = shorten(place[name], limit)
        self.faults.append(Fault(kind, shorten(what, MOST_TEXT), shorten(action, MOST_TEXT),
                                 **place))

    def of_kind(self, kind: str) -> list[Fault]:
        """The faults of one kind that are kept; empty when there are none."""
        return [fault for fault in self.faults if fault.kind == kind]

    def count(self, kind: str) -> int:
        """How many faults of one kind were found."""
        return self.counts.get(kind, 0)

    @property
    def counts(self) -> dict[str, int]:
        """Number of faults of each kind, the kinds in the order of their first appearance."""
        counts: dict[str, int] = {}
        for (kind, _, _), number in self.tally.items():
            counts[kind] = counts.get(kind, 0) + number
        return counts

    @property
    def refused(self) -> list[Fault]:
        """The faults that cannot be mended here, as far as they are kept: at least one if any."""
        return [fault for fault in self.faults if fault.action == REFUSED]

    @property
    def unlisted(self) -> dict[str, int]:
        """Of each kind, how many are counted and not kept; kinds without such are missing."""
        kept = Counter(fault.kind for fault in self.faults)
        return {kind: number - kept[kind] for kind, number in self.counts.items()
                if number > kept[kind]}

    def reword(self, action_of: Callable[[str, str], str]) -> None:
        """Replace all actions.

        Args:
            action_of: gives the new one for a kind and the old one; of faults that are counted
                and not kept the old one is their sort's: 'refused', 'left out' or 'other'.
        """
        self.faults = [replace(fault, action=action_of(fault.kind, fault.action))
                       for fault in self.faults]
        tally, self.tally = self.tally, Counter()
        for (kind, split, outcome), number in tally.items():
            self.tally[kind, split, _outcome(action_of(kind, outcome))] += number

    def drop(self, unwanted: Callable[[Fault], bool]) -> None:
        """Take out faults; of a sort none of which is left, those that are not kept go too."""
        kept: list[Fault] = []
        gone: Counter[Sort] = Counter()
        for fault in self.faults:
            if unwanted(fault):
                gone[fault.sort] += 1
            else:
                kept.append(fault)
        self.faults = kept
        there = {fault.sort for fault in kept}
        for sort, number in gone.items():
            self.tally[sort] -= number
            if sort not in there:
                del self.tally[sort]

    def put_before(self, other: Ledger) -> None:
        """Take in what another ledger holds, before one's own faults and notes."""
        self.faults[:0] = other.faults
        self.notes[:0] = other.notes
        self.tally = Counter(other.tally) + self.tally

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for a json file."""
        content = {
            "source": self.source,
            "splits": {name: asdict(count) for name, count in self.splits.items()},
            "counts": self.counts,
            "notes": self.notes,
            "faults": [asdict(fault) for fault in self.faults],
        }
        return {**content, "unlisted": self.unlisted} if self.unlisted else content

    def write(self, path: Path) -> None:
        """Write the ledger as json; a reader never sees half of it."""
        write_json(path, self.as_dict(), indent=1)

    def split_lines(self) -> list[str]:
        """A line for each split, on what of it is used."""
        return [f"{name}: {count.images_used} images, {count.boxes_used} boxes used; not used: "
                f"{count.images_left_out} images, {count.boxes_left_out} boxes"
                for name, count in self.splits.items()]

    def summary(self) -> list[str]:
        """Lines for a person: images and boxes of each split, then each kind with examples."""
        lines = [*self.split_lines(), *self.notes]
        for kind, total in self.counts.items():
            faults = self.of_kind(kind)
            lines.append(f"{kind}: {self._split_counts(kind)}; {_actions(faults)}")
            lines += [f"  {fault.place()}: {fault.what}".replace(f"{self.source}{os.sep}", "")
                      for fault in faults[:EXAMPLES_PER_KIND]]
            if total > EXAMPLES_PER_KIND:
                lines.append(f"  ... and {total - EXAMPLES_PER_KIND} more")
        return lines

    def log(self, written_to: Path | None = None) -> None:
        """Log the summary: one record a line, warnings for the faults."""
        for line in self.summary():
            faulty = line.split(":")[0] in self.counts or line.startswith("  ")
            # A file name may hold a line break or an escape code, json half of a character.
            LOGGER.log(logging.WARNING if faulty else logging.INFO, "data: %s",
                       printable(line).encode("utf-8", "backslashreplace").decode())
        if written_to is not None and self.faults:
            total, rest = sum(self.tally.values()), sum(self.unlisted.values())
            which = f"all {total}" if not rest else f"{total - rest} of {total}"
            LOGGER.info("data: %s findings stand in %s", which, written_to)

    def raise_refused(self, do: str | None = None) -> None:
        """Stop when there is a fault that cannot be mended here.

        Raises:
            DataError: names the first such fault and says how many more there are.
        """
        refused = self.refused
        if not refused:
            return
        count = sum(number for (_, _, outcome), number in self.tally.items() if outcome == REFUSED)
        more = f" (and {count - 1} more that cannot be mended)" if count > 1 else ""
        raise DataError(f"{refused[0].place()}: {refused[0].what}{more}", do=do)

    def _split_counts(self, kind: str) -> str:
        by_split: Counter[str | None] = Counter()
        for (other, split, _), number in self.tally.items():
            if other == kind:
                by_split[split] += number
        total = sum(by_split.values())
        named = [f"{split} {count}" for split, count in by_split.items() if split is not None]
        return f"{total} ({', '.join(named)})" if named else str(total)


def _actions(faults: Iterable[Fault]) -> str:
    actions = list(dict.fromkeys(fault.action for fault in faults))
    more = ", ..." if len(actions) > EXAMPLES_PER_KIND else ""
    return ", ".join(actions[:EXAMPLES_PER_KIND]) + more


def write_json(path: Path, content: Any, indent: int | None = None) -> None:
    """Write json through a file beside it, so that a killed run leaves no half-written one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(content, indent=indent, allow_nan=False), encoding="utf-8")
    os.replace(beside, path)
