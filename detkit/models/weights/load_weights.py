"""Check that converted weights fit a model, and load all of them or none."""

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
    """The result of loading a checkpoint.

    Args:
        origin: the file, as given.
        layout: name of the file's layout.
        loaded: parameters and buffers of the model that were set.
        resized: those of them that were resized.
        missing_keys: optional names of the model that the file lacks (output norms, offsets), or
            has for other classes; they keep their values.
        unexpected_keys: names in the file that are not needed, such as the classification head.
        notes: more remarks, each a sentence without its full stop.
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
            text += ("; not in the file, left as initialized: "
                     + list_names(self.missing_keys, _MAX_LISTED))
        if self.unexpected_keys:
            text += f"; not needed here: {list_names(self.unexpected_keys, _MAX_LISTED)}"
        return "; ".join((text, *self.notes))


@dataclass(frozen=True)
class ModuleWeights:
    """A module and the converted weights for it.

    Args:
        prefix: of its names in messages and the report, such as 'backbone.'.
        module: to load into.
        converted: the file's tensors by the module's names.
        excluded_keys: names of the module that are not loaded, such as a loss's buffers.
    """

    prefix: str
    module: nn.Module
    converted: ConvertedStateDict
    excluded_keys: frozenset[str] = frozenset()

    @property
    def model_state(self) -> dict[str, Tensor]:
        """The module's parameters and buffers by name, without ``excluded_keys``."""
        model_state: Mapping[str, Tensor] = self.module.state_dict(keep_vars=True)
        return {
            name: value
            for name, value in model_state.items()
            if name not in self.excluded_keys
        }


def load_all_or_none(module_weights: Sequence[ModuleWeights], origin: str, owner: str,
                     hint: str) -> None:
    """Set every tensor of every module, or none of them.

    Args:
        module_weights: the modules and their weights; messages name the first one's layout.
        origin: the file, for messages.
        owner: name of the model, for messages.
        hint: for the error where the weights do not fit.

    Raises:
        WeightsError: tensors are missing, unexpected or of another shape; the message names them.
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
            f"{weights.prefix}{name} is {tuple(value.shape)}, '{converted.source_name(name)}' "
            f"of the file is {tuple(converted.tensors[name].shape)}"
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
    """Build the report after ``load_all_or_none``.

    Args:
        module_weights: as ``load_all_or_none`` takes them.
        origin: the file.
        skipped_keys: names of the file that were not converted.
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
