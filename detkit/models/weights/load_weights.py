"""Whether translated weights fit, said by name; and setting them all in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from detkit.errors import WeightsError
from detkit.models.weights.converted_state_dict import Translation
from detkit.models.weights.state_dict import some


@dataclass(frozen=True)
class LoadReport:
    """What became of a checkpoint.

    Args:
        origin: the file, as it was given.
        layout: whose names it has.
        loaded: our parameters and buffers that were set.
        resized: those of them whose size was fitted.
        kept: ours that the file may lack and does (norms of outputs, offsets), or has for other
            classes; they stay as they are.
        unused: theirs that have no place here, such as the classification head.
        notes: what else there is to know, each a sentence without its full stop.
    """

    origin: str
    layout: str
    loaded: tuple[str, ...]
    resized: tuple[str, ...]
    kept: tuple[str, ...]
    unused: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"weights of {self.origin} ({self.layout} layout): {len(self.loaded)} tensors loaded"
        if self.resized:
            text += f"; resized: {some(self.resized)}"
        if self.kept:
            text += f"; not in the file, left as initialised: {some(self.kept)}"
        if self.unused:
            text += f"; not needed here: {some(self.unused)}"
        return "; ".join((text, *self.notes))


@dataclass(frozen=True)
class Part:
    """A module and what is to be loaded into it.

    Args:
        prefix: of its names in messages and the report, such as 'backbone.'.
        module: whose parameters and buffers are set.
        translation: the file's tensors under the module's names.
        outside: names of the module that the file has no say in, such as a loss's numbers.
    """

    prefix: str
    module: nn.Module
    translation: Translation
    outside: frozenset[str] = frozenset()

    @property
    def own(self) -> dict[str, Tensor]:
        """The module's parameters and buffers by name."""
        own: Mapping[str, Tensor] = self.module.state_dict(keep_vars=True)
        return {name: value for name, value in own.items() if name not in self.outside}


def set_all(parts: Sequence[Part], origin: str, owner: str, do: str) -> None:
    """Set every tensor of every part, or none of them.

    Args:
        parts: with their translations; the first one's layout is named.
        origin: the file, for messages.
        owner: what they are parts of, for messages.
        do: what to do where they do not fit.

    Raises:
        WeightsError: a tensor has no source or another shape, or the file has more; by name.
    """
    missing: list[str] = []
    unexpected: list[str] = []
    misshapen: list[str] = []
    for part in parts:
        own, given = part.own, part.translation
        optional = given.optional
        missing += [part.prefix + n for n in own if n not in given.tensors and n not in optional]
        unexpected += [given.source(name) for name in given.tensors if name not in own]
        misshapen += [
            f"{part.prefix}{name} is {tuple(value.shape)}, '{given.source(name)}' of the file is "
            f"{tuple(given.tensors[name].shape)}"
            for name, value in own.items()
            if name in given.tensors and value.shape != given.tensors[name].shape
        ]
    if missing or unexpected or misshapen:
        problems = [
            f"missing {some(missing)}" if missing else "",
            f"unexpected {some(unexpected)}" if unexpected else "",
            f"shapes differ: {some(misshapen)}" if misshapen else "",
        ]
        raise WeightsError(
            f"checkpoint '{origin}' ({parts[0].translation.layout} layout) does not fit "
            f"{owner}: " + "; ".join(filter(None, problems)),
            do=f"nothing was loaded; {do}",
        )
    with torch.no_grad():
        for part in parts:
            own = part.own
            for name, value in part.translation.tensors.items():
                own[name].copy_(value)


def report_of(
    parts: Sequence[Part], origin: str, elsewhere: Sequence[str], notes: Sequence[str] = ()
) -> LoadReport:
    """What became of a checkpoint that was set.

    Args:
        parts: as ``set_all`` takes them.
        origin: the file.
        elsewhere: names of the file that were never looked at.
        notes: of the report.
    """
    return LoadReport(
        origin=origin,
        layout=parts[0].translation.layout,
        loaded=tuple(part.prefix + name for part in parts for name in part.translation.tensors),
        resized=tuple(part.prefix + name for part in parts for name in part.translation.resized),
        kept=tuple(part.prefix + name for part in parts for name in part.own
                   if name not in part.translation.tensors),
        unused=tuple(name for part in parts for name in part.translation.unused)
        + tuple(elsewhere),
        notes=tuple(notes),
    )
