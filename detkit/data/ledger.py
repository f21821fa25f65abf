"""The ledger: every fault found in a data set, where it stands and what was done about it."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from detkit.errors import DataError

LOGGER = logging.getLogger("detkit")

REFUSED = "refused"
EXAMPLES_PER_KIND = 3


@dataclass(frozen=True)
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

    Args:
        source: folder or file that was looked at.
        faults: may be empty.
        splits: counts by split name.
        notes: decisions about the whole set that are no faults, such as a split that was made.
    """

    source: str = ""
    faults: list[Fault] = field(default_factory=list)
    splits: dict[str, SplitCount] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, kind: str, what: str, action: str, **place: Any) -> None:
        """Note one fault; ``place`` is file, image, annotation and split, as in ``Fault``."""
        if not isinstance(place.get("annotation"), (int, str, type(None))):
            # NaN, a list, an object: json has no word for the first, a message none for the rest.
            place["annotation"] = repr(place["annotation"])
        self.faults.append(Fault(kind, what, action, **place))

    def of_kind(self, kind: str) -> list[Fault]:
        """The faults of one kind; empty when there are none."""
        return [fault for fault in self.faults if fault.kind == kind]

    def count(self, kind: str) -> int:
        """How many faults of one kind were found."""
        return sum(fault.kind == kind for fault in self.faults)

    @property
    def counts(self) -> dict[str, int]:
        """Number of faults of each kind, the kinds in the order of their first appearance."""
        return dict(Counter(fault.kind for fault in self.faults))

    @property
    def refused(self) -> list[Fault]:
        """The faults that cannot be mended here."""
        return [fault for fault in self.faults if fault.action == REFUSED]

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for a json file."""
        return {
            "source": self.source,
            "splits": {name: asdict(count) for name, count in self.splits.items()},
            "counts": self.counts,
            "notes": self.notes,
            "faults": [asdict(fault) for fault in self.faults],
        }

    def write(self, path: Path) -> None:
        """Write the ledger as json; a reader never sees half of it."""
        write_json(path, self.as_dict(), indent=1)

    def summary(self) -> list[str]:
        """Lines for a person: images and boxes of each split, then each kind with examples."""
        lines = []
        for name, count in self.splits.items():
            lines.append(
                f"{name}: {count.images_used} images, {count.boxes_used} boxes used; not used: "
                f"{count.images_left_out} images, {count.boxes_left_out} boxes"
            )
        lines += self.notes
        for kind in self.counts:
            faults = self.of_kind(kind)
            lines.append(f"{kind}: {_split_counts(faults)}; {_actions(faults)}")
            lines += [f"  {fault.place()}: {fault.what}".replace(f"{self.source}{os.sep}", "")
                      for fault in faults[:EXAMPLES_PER_KIND]]
            if len(faults) > EXAMPLES_PER_KIND:
                lines.append(f"  ... and {len(faults) - EXAMPLES_PER_KIND} more")
        return lines

    def log(self, written_to: Path | None = None) -> None:
        """Log the summary: one record a line, warnings for the faults."""
        for line in self.summary():
            faulty = line.split(":")[0] in self.counts or line.startswith("  ")
            # A file name may hold a line break.
            LOGGER.log(logging.WARNING if faulty else logging.INFO, "data: %s",
                       line.replace("\n", "\\n"))
        if written_to is not None and self.faults:
            LOGGER.info("data: all %d findings stand in %s", len(self.faults), written_to)

    def raise_refused(self, do: str | None = None) -> None:
        """Stop when there is a fault that cannot be mended here.

        Raises:
            DataError: names the first such fault and says how many more there are.
        """
        refused = self.refused
        if not refused:
            return
        more = f" (and {len(refused) - 1} more that cannot be mended)" if refused[1:] else ""
        raise DataError(f"{refused[0].place()}: {refused[0].what}{more}", do=do)


def _split_counts(faults: Iterable[Fault]) -> str:
    by_split = Counter(fault.split for fault in faults)
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
