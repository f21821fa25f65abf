"""The error message of a training that diverged."""

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
    """A quantity that is not finite.

    Args:
        quantity: 'the loss', 'the gradients' or 'the weights'.
        got: the names of the tensors, or losses with their values.
        batch: the batch of the step, as the dataloader returned it; None if not known.
        source: the module with the first output that was not finite; None if not known.
        images: the image paths of the batch, if ``batch`` is None; None takes them from ``batch``.
    """

    quantity: str
    got: str
    batch: Any = None
    source: str | None = None
    images: list[str] | None = None

    def without_batch(self) -> Divergence:
        """A copy with the image paths instead of the batch, to be sent to other processes."""
        return replace(self, batch=None, images=image_names(self.batch))


def divergence_error(runner: Any, divergence: Divergence) -> DivergedError:
    """The error with step, cause, images, last good checkpoint, and suggestions."""
    names = image_names(divergence.batch) if divergence.images is None else divergence.images
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    images = f"; images of the batch: {', '.join(names[:_MAX_SHOWN])}{more}" if names else ""
    source = f", first in {divergence.source}" if divergence.source else ""
    hub = runner.message_hub
    # At the checkpoint of an epoch the loop has already counted the step; the hub has not.
    iteration, epoch = hub.get_info("iter", runner.iter) + 1, hub.get_info("epoch", 0) + 1
    return DivergedError(
        f"training ended at iteration {iteration} (epoch {epoch}): {divergence.quantity} became "
        "NaN or infinite",
        got=f"{divergence.got}{source}{images}",
        hint=f"{_last_checkpoint(runner)}; try {_suggestions(runner, divergence)}",
    )


def image_names(batch: Any) -> list[str]:
    """The image paths in ``batch``, in order; empty if it has none."""
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
        return "no checkpoint was written"
    return f"the last good checkpoint is {last}"


def _suggestions(runner: Any, divergence: Divergence) -> str:
    wrapper = runner.optim_wrapper
    rates = wrapper.get_lr()
    listed = rates.get("lr", []) if isinstance(rates, Mapping) else rates
    rate = f" (it was {max(listed):g})" if listed else ""
    suggestions = []
    if divergence.source is not None and divergence.source.startswith("the images"):
        suggestions.append("another data_preprocessor.mean and std")
    suggestions.append(
        f"a lower learning rate{rate}: --cfg-options optim_wrapper.optimizer.lr=NUMBER")
    if not getattr(wrapper, "clip_grad_kwargs", None):
        suggestions.append("optim_wrapper.clip_grad.max_norm=10")
    if getattr(wrapper, "loss_scaler", None) is not None:
        suggestions.append("training without --amp")
    if runner.iter == 0 and divergence.quantity != "the weights":
        suggestions.append("a check of the annotations of these images")
    return ", ".join(suggestions[:-1]) + (", or " if len(suggestions) > 1 else "") + suggestions[-1]


def find_nonfinite_module(runner: Any, model: nn.Module, batch: Any) -> str | None:
    """The first module of ``model`` whose output on ``batch`` has NaN or positive infinity.

    Negative infinity is ignored because attention masks contain it. The forward pass is repeated,
    which changes batch statistics, so no checkpoint may be saved after it.

    Returns:
        'the output of NAME'; 'the images ...' if the preprocessed batch is not finite; None if
        every output is finite.
    """
    sources: list[str] = []

    def make_hook(name: str) -> Any:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            if not sources and any(_has_nan_or_posinf(tensor) for _, tensor in _tensors(output)):
                sources.append(f"the output of {name}")
        return hook

    handles = [module.register_forward_hook(make_hook(name))
               for name, module in model.named_modules()
               if name and not name.startswith("data_preprocessor")]
    seed_iteration(runner.seed, runner.rank, runner.iter)
    try:
        with torch.no_grad(), runner.optim_wrapper.optim_context(model):
            data: Any = model.data_preprocessor(batch, True)  # type: ignore[operator]
            if nonfinite_names(_tensors(data)):
                return "the images after data_preprocessor"
            model._run_forward(data, mode="loss")  # type: ignore[operator]
    # The failure under investigation occurs again; the outputs before it are recorded.
    except Exception:  # noqa: B902
        pass
    finally:
        for handle in handles:
            handle.remove()
    return sources[0] if sources else None


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
