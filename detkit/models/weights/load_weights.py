"""Whether translated weights fit, said by name; and setting them all in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from detkit.errors import WeightsError
from detkit.models.weights.converted_state_dict import ConvertedStateDict
from detkit.text import list_names

_MAX_LISTED = 8


@dataclass(frozen=True)
class LoadReport:
    """What became of a checkpoint.

    Args:
        origin: the file, as it was given.
        layout: whose names it has.
        loaded: our parameters and buffers that were set.
        resized: those of them whose size was fitted.
        missing_keys: ours that the file may lack and does (norms of outputs, offsets), or has for
            other classes; they stay as they are.
        unexpected_keys: theirs that have no place here, such as the classification head.
        notes: what else there is to know, each a sentence without its full stop.
    """

    origin: str
    layout: str
    loaded: tuple[str, ...]
    resized: tuple[str, ...]
    missing_keys: tuple[str, ...]
    unexpected_keys: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"weights of {self.origin} ({self.layout} layout): {len(self.loaded)} tensors loaded"
        if self.resized:
            text += f"; resized: {list_names(self.resized, _MAX_LISTED)}"
        if self.missing_keys:
            text += f"; not in the file, left as initialised: {list_names(self.missing_keys, _MAX_LISTED)}"
        if self.unexpected_keys:
            text += f"; not needed here: {list_names(self.unexpected_keys, _MAX_LISTED)}"
        return "; ".join((text, *self.notes))


@dataclass(frozen=True)
class ModuleWeights:
    """A module and what is to be loaded into it.

    Args:
        prefix: of its names in messages and the report, such as 'backbone.'.
        module: whose parameters and buffers are set.
        converted: the file's tensors under the module's names.
        excluded_keys: names of the module that the file has no say in, such as a loss's numbers.
    """

    prefix: str
    module: nn.Module
    converted: ConvertedStateDict
    excluded_keys: frozenset[str] = frozenset()

    @property
    def model_state(self) -> dict[str, Tensor]:
        """The module's parameters and buffers by name."""
        model_state: Mapping[str, Tensor] = self.module.state_dict(keep_vars=True)
        return {
            name: value
            for name, value in model_state.items()
            if name not in self.excluded_keys
        }


def load_all_or_none(module_weights: Sequence[ModuleWeights], origin: str, owner: str,
                     hint: str) -> None:
    """Set every tensor of every part, or none of them.

    Args:
        module_weights: with their translations; the first one's layout is named.
        origin: the file, for messages.
        owner: what they are parts of, for messages.
        hint: what to do where they do not fit.

    Raises:
        WeightsError: a tensor has no source or another shape, or the file has more; by name.
    """
    missing: list[str] = []
    unexpected: list[str] = []
    misshapen: list[str] = []
    for weights in module_weights:
        model_state, converted = weights.model_state, weights.converted
        optional = converted.optional
        missing += [
            weights.prefix + n
            for n in model_state
            if n not in converted.tensors and n not in optional
        ]
        unexpected += [
            converted.source_name(name) for name in converted.tensors if name not in model_state
        ]
        misshapen += [
            f"{weights.prefix}{name} is {tuple(value.shape)}, '{converted.source_name(name)}' of the file is "
            f"{tuple(converted.tensors[name].shape)}"
            for name, value in model_state.items()
            if name in converted.tensors and value.shape != converted.tensors[name].shape
        ]
    if missing or unexpected or misshapen:
        problems = [
            f"missing {list_names(missing, _MAX_LISTED)}" if missing else "",
            f"unexpected {list_names(unexpected, _MAX_LISTED)}" if unexpected else "",
            f"shapes differ: {list_names(misshapen, _MAX_LISTED)}" if misshapen else "",
        ]
        raise WeightsError(
            f"checkpoint '{origin}' ({module_weights[0].converted.layout} layout) does not fit "
            f"{owner}: " + "; ".join(filter(None, problems)),
            hint=f"nothing was loaded; {hint}",
        )
    with torch.no_grad():
        for weights in module_weights:
            model_state = weights.model_state
            for name, value in weights.converted.tensors.items():
                model_state[name].copy_(value)


def build_load_report(module_weights: Sequence[ModuleWeights], origin: str,
                      skipped_keys: Sequence[str], notes: Sequence[str] = ()) -> LoadReport:
    """What became of a checkpoint that was set.

    Args:
        module_weights: as ``load_all_or_none`` takes them.
        origin: the file.
        skipped_keys: names of the file that were never looked at.
        notes: of the report.
    """
    return LoadReport(
        origin=origin, layout=module_weights[0].converted.layout,
        loaded=tuple(weights.prefix + name
                     for weights in module_weights
                     for name in weights.converted.tensors),
        resized=tuple(weights.prefix + name
                      for weights in module_weights
                      for name in weights.converted.resized),
        missing_keys=tuple(weights.prefix + name
                           for weights in module_weights
                           for name in weights.model_state
                           if name not in weights.converted.tensors),
        unexpected_keys=tuple(name for weights in module_weights
                              for name in weights.converted.unexpected_keys) + tuple(skipped_keys),
        notes=tuple(notes),
    )
