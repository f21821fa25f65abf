"""The ledger of labelled pictures: the same words, counted in images of each class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from detkit.data.report.ledger import Ledger

MAX_CLASSES_LISTED = 20


@dataclass
class ClassificationLedger(Ledger):
    """Faults, and for each split how many images of each class are used.

    Args:
        unit: what is counted: 'images', or 'crops' of boxes.
        per_class: split name -> class name -> how many are used, in the order of the labels.
    """

    unit: str = "images"
    per_class: dict[str, dict[str, int]] = field(default_factory=dict)

    def count_classes(self, split: str, labels: Iterable[str], classes: Sequence[str]) -> None:
        """Count the labels of one split."""
        counts = Counter(labels)
        self.per_class[split] = {name: counts[name] for name in classes}

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for a json file."""
        content = super().as_dict()
        for name, count in content["splits"].items():
            if self.unit == "images":
                del count["boxes_used"], count["boxes_left_out"]
            if name in self.per_class:
                count["classes"] = self.per_class[name]
        return content

    def split_summaries(self) -> list[str]:
        """A line for each split, on what of it and of each class is used."""
        lines = []
        for name, count in self.splits.items():
            used, not_used = count.images_used, count.images_left_out
            if self.unit == "crops":
                used, not_used = count.boxes_used, count.boxes_left_out
            line = f"{name}: {used} {self.unit} used; not used: {not_used}"
            class_counts = self.per_class.get(name, {})
            if 0 < len(class_counts) <= MAX_CLASSES_LISTED:
                line += "; " + ", ".join(f"{label} {number}"
                                         for label, number in class_counts.items())
            lines.append(line)
        return lines
