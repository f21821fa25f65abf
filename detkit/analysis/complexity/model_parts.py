"""What a model consists of, and what each part of it costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from detkit.analysis.complexity.counting_forward import RoICounts, get_roi_counts

# What belongs to no part: what the detector computes between its parts, and weights of its own.
UNASSIGNED = "between parts"


@dataclass(frozen=True)
class ModuleComplexity:
    """One part of a model.

    Args:
        name: as in the model: 'backbone', 'roi_head.bbox_head.0'.
        parameters: all of them.
        trainable: those that training changes.
        multiply_adds: of one image.
    """

    name: str
    parameters: int
    trainable: int
    multiply_adds: int


@dataclass(frozen=True)
class Complexity:
    """What was counted of a model.

    Args:
        height, width: of the input, in pixels.
        classes: of the config's data; None when it does not say.
        classes_assumed: whether ``classes`` is ImageNet's number, as papers count classifiers,
            because neither the config nor its data says one.
        regions: at which the RoI heads were counted; None for models without.
        ran_on: 'shapes', where nothing was computed but sizes, or 'cpu'.
        parts: they sum to the whole.
        inside: what the RoI head consists of, which is in ``parts`` already.
        not_run: parts with weights that took no part in the forward pass, whose multiply-adds
            are therefore missing.
    """

    height: int
    width: int
    classes: int | None
    regions: RoICounts | None
    ran_on: str
    parts: tuple[ModuleComplexity, ...]
    inside: tuple[ModuleComplexity, ...]
    not_run: tuple[str, ...]
    classes_assumed: bool = False

    @property
    def total(self) -> ModuleComplexity:
        """The sum of ``parts``."""
        return ModuleComplexity(
            "whole",
            sum(part.parameters for part in self.parts),
            sum(part.trainable for part in self.parts),
            sum(part.multiply_adds for part in self.parts),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for json."""
        return {**asdict(self), "whole": asdict(self.total)}


def aggregate_complexity(
    model: nn.Module,
    counts: Mapping[str, int],
    size: tuple[int, int],
    classes: int | None,
    ran_on: str,
) -> Complexity:
    """Gather what ``count_macs`` counted into the parts of the model, with their weights.

    Args:
        model: the one that ran.
        counts: multiply-adds by the name of the module, '' for none.
        size: height and width of the input, in pixels.
        classes, ran_on: see `Complexity`.
    """
    names = [name for name, _ in model.named_children()]
    parts = [_module_complexity(model, counts, name) for name in names]
    rest = _module_complexity(model, counts, UNASSIGNED, excluded=names)
    nonempty = tuple(part for part in [*parts, rest] if part.parameters or part.multiply_adds)
    inside: tuple[ModuleComplexity, ...] = ()
    if get_roi_counts(model) is not None:
        found = [
            _module_complexity(model, counts, name) for name in _submodule_names(model, "roi_head")
        ]
        inside = tuple(part for part in found if part.parameters or part.multiply_adds)
    return Complexity(
        height=size[0], width=size[1], classes=classes, regions=get_roi_counts(model),
        ran_on=ran_on, parts=nonempty, inside=inside, not_run=tuple(
            part.name
            for part in [*parts, *inside]
            if part.parameters and not part.multiply_adds and _has_counted_layers(model, part)),
    )


def _module_complexity(
    model: nn.Module, counts: Mapping[str, int], name: str, excluded: Iterable[str] | None = None
) -> ModuleComplexity:
    """The part called ``name``; with ``excluded``, all that is in none of the parts of these names."""
    def belongs(path: str) -> bool:
        if excluded is not None:
            return path.partition(".")[0] not in set(excluded)
        return path == name or path.startswith(f"{name}.")

    weights = [weight for path, weight in model.named_parameters() if belongs(path)]
    return ModuleComplexity(
        name,
        sum(weight.numel() for weight in weights),
        sum(weight.numel() for weight in weights if weight.requires_grad),
        sum(count for path, count in counts.items() if belongs(path)),
    )


def _submodule_names(model: nn.Module, name: str) -> list[str]:
    """Names of the modules in ``name``, a list's items one by one."""
    found = []
    for child, module in model.get_submodule(name).named_children():
        if isinstance(module, nn.ModuleList):
            found += [f"{name}.{child}.{index}" for index in range(len(module))]
        else:
            found.append(f"{name}.{child}")
    return found


def _has_counted_layers(model: nn.Module, part: ModuleComplexity) -> bool:
    """Whether the part holds a layer that would have been counted."""
    layers = (nn.Linear, nn.modules.conv._ConvNd)
    return any(isinstance(module, layers) for module in model.get_submodule(part.name).modules())
