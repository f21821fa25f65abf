"""The classes of labelled pictures: one order and one spelling for all splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from detkit.data.classification.image_label import RawClassificationSplit
from detkit.data.report.class_aliases import match_class_names, merge_class_names
from detkit.data.report.ledger import Ledger


def resolve_class_names(
        splits: Mapping[str, RawClassificationSplit], ledger: Ledger,
        expected: Sequence[str] | None = None) -> tuple[tuple[str, ...], dict[str, str]]:
    """Decide the classes of all splits together and note what does not fit.

    Spellings that differ in case, blanks, underscores or hyphens are one class, unless one split
    has both.

    Args:
        splits: in the order in which their spelling counts, train first.
        expected: the classes to map to, in order; a name with pictures that is none of them is
            refused.

    Returns:
        The names in the order of their labels, sorted unless ``expected`` says otherwise; and name
        as declared -> name as decided. A name that is no class is missing there.
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
