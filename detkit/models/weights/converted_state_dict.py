"""The result of a ``checkpoint_filter_fn``: a state dict with the model's names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor

from detkit.errors import WeightsError
from detkit.text import list_names

StateDict = dict[str, Tensor]

# From a prefix in ``ImageClassifier`` to the candidate prefixes in a file, the longest first.
ClassifierPrefixes = dict[str, tuple[str, ...]]

# Pairs of pattern and replacement for ``re.sub``.
RenameRules = list[tuple[str, str]]


def rename_key(name: str, rules: RenameRules) -> str:
    """Apply every rule to ``name``, in order."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def unknown_layout_error(model: str, state_dict: StateDict, layouts: str) -> WeightsError:
    """Make the error for a state dict whose names are of no known layout of ``model``.

    Args:
        model: such as 'a Swin Transformer'.
        state_dict: names without wrappers and prefixes.
        layouts: the known ones, such as 'timm or detkit'.
    """
    return WeightsError(f"these are not the names of {model}",
                        got=list_names(state_dict, 3) or "no tensors",
                        expected=f"the layout of {layouts}")


@dataclass
class ConvertedStateDict:
    """A checkpoint of any layout, converted for a backbone.

    Args:
        layout: name of the file's layout, for users.
        tensors: by the model's names, with the model's axis order and sizes.
        sources: from the model's name to the file's, for messages.
        unexpected_keys: names in the file that the backbone does not need.
        optional: the model's names that the file may lack; see ``allow_missing``.
        resized: the model's names of resized tensors.
    """

    layout: str
    tensors: StateDict = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    unexpected_keys: list[str] = field(default_factory=list)
    optional: frozenset[str] = frozenset()
    resized: list[str] = field(default_factory=list)

    def add(self, name: str, source: str, value: Tensor) -> None:
        """Add ``value``, named ``source`` in the file, under the model's ``name``."""
        self.tensors[name] = value
        self.sources[name] = source

    def allow_missing(self, model_keys: Iterable[str], pattern: re.Pattern[str]) -> None:
        """Allow groups of names to be missing from the file, each completely or not at all.

        Call it after all tensors are added.

        Args:
            model_keys: the model's names.
            pattern: names with the same matched text form a group.
        """
        groups: dict[str, set[str]] = {}
        for name in model_keys:
            match = pattern.search(name)
            if match:
                groups.setdefault(match[0], set()).add(name)
        missing_groups = (names for names in groups.values() if names.isdisjoint(self.tensors))
        self.optional = self.optional.union(*missing_groups)

    def source_name(self, name: str) -> str:
        """The file's name for the model's ``name``."""
        return self.sources.get(name, name)
