"""The classes of labeled images: one order and one spelling for all splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from detkit.data.classification.image_label import RawClassificationSplit
from detkit.data.report.class_aliases import match_class_names, merge_class_names
from detkit.data.report.ledger import Ledger


def resolve_class_names(
        splits: Mapping[str, RawClassificationSplit], ledger: Ledger,
        expected: Sequence[str] | None = None) -> tuple[tuple[str, ...], dict[str, str]]:
    """Determine the classes of all splits together, and report names that do not fit.

    Spellings that differ in case, whitespace, underscores or hyphens are the same class, unless
    one split has both.

    Args:
        splits: the split whose spelling takes precedence first, usually train.
        ledger: receives the issues.
        expected: class names to map to, in order; a name with images that is not among them is an
            error.

    Returns:
        The class names in the order of their labels, which is ``expected`` or sorted; and the
        class name of each declared name, without names that are not a class.
    """
    declared = {split: raw.classes for split, raw in splits.items()}
    sources = {split: raw.source for split, raw in splits.items()}
    if expected is None:
        class_map = merge_class_names(declared, sources, ledger)
        return tuple(sorted(set(class_map.values()))), class_map
    counts = {split: Counter(record.label for record in raw.records)
              for split, raw in splits.items()}
    return tuple(expected), match_class_names(declared, counts, sources, ledger, expected, "image",
                                              "images")
