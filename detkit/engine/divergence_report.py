"""The line that a training ends with when a number in it is not finite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from detkit.checkpoints.find_checkpoint import find_latest_checkpoint
from detkit.checkpoints.nonfinite import nonfinite_names
from detkit.engine.reproducibility import seed_iteration
from detkit.errors import DivergedError

_MAX_SHOWN = 4


@dataclass
class Divergence:
    """What is not finite.

    Args:
        quantity: 'the loss', 'the gradients' or 'the weights'.
        got: which of them, with values where they tell more.
        batch: of the step, as the dataloader gave it; None when not known.
        source: the module whose output was the first that was not finite; None when not known.
        images: names of the batch's images, in the batch's place; None takes the batch's own.
    """

    quantity: str
    got: str
    batch: Any = None
    source: str | None = None
    images: list[str] | None = None

    def without_batch(self) -> Divergence:
        """The same with the images' names in the batch's place, to be sent to other processes."""
        return replace(self, batch=None, images=image_names(self.batch))


def divergence_error(runner: Any, found: Divergence) -> DivergedError:
    """The error for ``found``: step, component, images, last good checkpoint, what to try."""
    names = image_names(found.batch) if found.images is None else found.images
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    images = f"; images of the batch: {', '.join(names[:_MAX_SHOWN])}{more}" if names else ""
    source = f", first in {found.source}" if found.source else ""
    hub = runner.message_hub
    # The loop counts a step before the checkpoint of its epoch is written; the hub's number stays.
    iteration, epoch = hub.get_info("iter", runner.iter) + 1, hub.get_info("epoch", 0) + 1
    return DivergedError(
        f"training ended at iteration {iteration} (epoch {epoch}): {found.quantity} became NaN or "
        "infinite",
        got=f"{found.got}{source}{images}",
        hint=f"{_last_checkpoint(runner)}; try {_suggestions(runner, found)}",
    )


def image_names(batch: Any) -> list[str]:
    """The paths of the images in ``batch``, in order; empty when it does not say them."""
    return list(dict.fromkeys(_image_paths(batch)))


def _image_paths(value: Any) -> Iterator[str]:
    path = getattr(value, "img_path", None)
    if path is not None:
        yield str(path)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _image_paths(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _image_paths(item)


def _last_checkpoint(runner: Any) -> str:
    folder = Path(runner.work_dir)
    last = find_latest_checkpoint(folder)
    if last is None:
        return "no checkpoint was written before"
    return f"the last good checkpoint is {last}"


def _suggestions(runner: Any, found: Divergence) -> str:
    wrapper = runner.optim_wrapper
    rates = wrapper.get_lr()
    listed = rates.get("lr", []) if isinstance(rates, Mapping) else rates
    rate = f" (it was {max(listed):g})" if listed else ""
    suggestions = []
    if found.source is not None and found.source.startswith("the images"):
        suggestions.append("other data_preprocessor.mean and std, which gave these images")
    suggestions.append(
        f"a lower learning rate{rate}: --cfg-options optim_wrapper.optimizer.lr=NUMBER")
    if not getattr(wrapper, "clip_grad_kwargs", None):
        suggestions.append("optim_wrapper.clip_grad.max_norm=10")
    if getattr(wrapper, "loss_scaler", None) is not None:
        suggestions.append("to train without --amp")
    if runner.iter == 0 and found.quantity != "the weights":
        suggestions.append("to look at these images' annotations")
    return ", ".join(suggestions[:-1]) + (", or " if len(suggestions) > 1 else "") + suggestions[-1]


def find_nonfinite_module(runner: Any, model: nn.Module, batch: Any) -> str | None:
    """The module of ``model`` whose output on ``batch`` is the first with NaN or infinity.

    Minus infinity does not count: masks hold it, and logits of what cannot be. The forward pass is
    run once more; batch statistics change, so no checkpoint may follow.

    Returns:
        its name with 'the output of' before it, 'the images ...' where the preprocessed batch is
        not finite already, or None when everything is.
    """
    found: list[str] = []

    def make_hook(name: str) -> Any:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            if not found and any(_has_nan_or_posinf(tensor) for _, tensor in _tensors(output)):
                found.append(f"the output of {name}")
        return hook

    handles = [module.register_forward_hook(make_hook(name))
               for name, module in model.named_modules()
               if name and not name.startswith("data_preprocessor")]
    seed_iteration(runner.seed, runner.rank, runner.iter)
    try:
        with torch.no_grad(), runner.optim_wrapper.optim_context(model):
            data: Any = model.data_preprocessor(batch, True)  # type: ignore[operator]
            if nonfinite_names(_tensors(data)):
                return "the images as data_preprocessor gives them"
            model._run_forward(data, mode="loss")  # type: ignore[operator]
    # The failure that is looked into comes again; what was found before it counts.
    except Exception:  # noqa: B902
        pass
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def _has_nan_or_posinf(tensor: Tensor) -> bool:
    return (tensor.is_floating_point() and tensor.layout == torch.strided
            and bool((tensor.isnan() | (tensor == inf)).any()))


def _tensors(value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield "", value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
