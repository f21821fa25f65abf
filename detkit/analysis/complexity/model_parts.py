"""The top-level modules of a model, with the cost of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from detkit.analysis.complexity.counting_forward import RoICounts, get_roi_counts

# Parameters and multiply-adds of the detector outside its child modules.
UNASSIGNED = "between parts"


@dataclass(frozen=True)
class ModuleComplexity:
    """The cost of a module.

    Args:
        name: as in the model: 'backbone', 'roi_head.bbox_head.0'.
        parameters: number of parameters.
        trainable: number of trainable parameters.
        multiply_adds: for one image.
    """

    name: str
    parameters: int
    trainable: int
    multiply_adds: int


@dataclass(frozen=True)
class Complexity:
    """The cost of a model.

    Args:
        height, width: of the input, in pixels.
        classes: number of classes in the config's data; None if unknown.
        classes_assumed: whether ``classes`` is ImageNet's, because neither the config nor its
            data has one.
        regions: the RoI counts of the RoI heads; None for models without.
        ran_on: 'shapes' (fake tensors) or 'cpu'.
        parts: top-level modules, which sum to the total.
        inside: modules of the RoI head, which is in ``parts`` already.
        not_run: modules with layers that did not run, so their multiply-adds are missing.
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
        """Return plain values for JSON."""
        return {**asdict(self), "whole": asdict(self.total)}


def aggregate_complexity(
    model: nn.Module,
    counts: Mapping[str, int],
    size: tuple[int, int],
    classes: int | None,
    ran_on: str,
) -> Complexity:
    """Aggregate parameters and the counts of ``count_macs`` by top-level module.

    Args:
        model: the counted model.
        counts: multiply-adds by module name, '' for none.
        size: height and width of the input, in pixels.
        classes, ran_on: see `Complexity`.
    """
    names = [name for name, _ in model.named_children()]
    parts = [_module_complexity(model, counts, name) for name in names]
    rest = _module_complexity(model, counts, UNASSIGNED, excluded=names)
    nonempty = tuple(part for part in [*parts, rest] if part.parameters or part.multiply_adds)
    inside: tuple[ModuleComplexity, ...] = ()
    if get_roi_counts(model) is not None:
        submodules = [
            _module_complexity(model, counts, name) for name in _submodule_names(model, "roi_head")
        ]
        inside = tuple(part for part in submodules if part.parameters or part.multiply_adds)
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
    """The module ``name``; with ``excluded``, everything outside the modules of these names."""
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
    """Names of the child modules of ``name``, with the items of a ModuleList."""
    names = []
    for child, module in model.get_submodule(name).named_children():
        if isinstance(module, nn.ModuleList):
            names += [f"{name}.{child}.{index}" for index in range(len(module))]
        else:
            names.append(f"{name}.{child}")
    return names


def _has_counted_layers(model: nn.Module, part: ModuleComplexity) -> bool:
    """Whether the module has a layer that would have been counted."""
    layers = (nn.Linear, nn.modules.conv._ConvNd)
    return any(isinstance(module, layers) for module in model.get_submodule(part.name).modules())
