"""What an adapter hands to the loader: a foreign state dict under our names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor

from detkit.errors import WeightsError
from detkit.text import list_names

StateDict = dict[str, Tensor]

# From a prefix in an ``ImageClassifier`` to those that a file may have there, the longest first.
ClassifierPrefixes = dict[str, tuple[str, ...]]

# Pairs of a pattern and what is put in its place, both as ``re.sub`` takes them.
RenameRules = list[tuple[str, str]]


def rename_key(name: str, rules: RenameRules) -> str:
    """``name`` with every rule applied, one after the other."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def unknown_layout_error(model: str, state_dict: StateDict, layouts: str) -> WeightsError:
    """The error for a state dict whose names belong to no known layout of ``model``.

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
    """A foreign checkpoint, renamed and reordered for one of our backbones.

    Args:
        layout: whose names the file has, as users call them.
        tensors: under our names, in our order and size.
        sources: from our name to the file's, for messages.
        unexpected_keys: names in the file that have no place in a backbone.
        optional: names of ours that the file may lack; see ``allow_missing``.
        resized: names of ours whose tensor was fitted to another size.
    """

    layout: str
    tensors: StateDict = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    unexpected_keys: list[str] = field(default_factory=list)
    optional: frozenset[str] = frozenset()
    resized: list[str] = field(default_factory=list)

    def add(self, name: str, source: str, value: Tensor) -> None:
        """File ``value``, called ``source`` in the file, under our ``name``."""
        self.tensors[name] = value
        self.sources[name] = source

    def allow_missing(self, model_keys: Iterable[str], pattern: re.Pattern[str]) -> None:
        """Let the file lack all of a group of our names; with one of them there, it needs all.

        To be called when every tensor is filed.

        Args:
            model_keys: our names.
            pattern: found in a name; names where it finds the same text are one group.
        """
        groups: dict[str, set[str]] = {}
        for name in model_keys:
            match = pattern.search(name)
            if match:
                groups.setdefault(match[0], set()).add(name)
        missing_groups = (names for names in groups.values() if names.isdisjoint(self.tensors))
        self.optional = self.optional.union(*missing_groups)

    def source_name(self, name: str) -> str:
        """The file's name for what is ``name`` here."""
        return self.sources.get(name, name)
