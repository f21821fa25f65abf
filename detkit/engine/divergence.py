"""Ends a training at the first loss, gradient or weight that is not finite, and names the cause.

Each step syncs with the device once: the losses and the norm of the gradients are checked together,
before the optimizer updates the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import inf
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import get_world_size
from mmengine.model import is_model_wrapper
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from detkit.checkpoints.nonfinite import (
    flatten_tensors,
    named_weights,
    nonfinite_names,
    shorten_names,
)
from detkit.engine.divergence_report import Divergence, divergence_error, find_nonfinite_module
from detkit.errors import DetkitError, describe_system_failure

# Consecutive overflows that end a training once the scale of a GradScaler is at its minimum. Until
# then overflows are normal: the scaler skips these steps and lowers its scale.
_MAX_OVERFLOWS = 2
# The same for a fixed scale, at which single batches overflow and are skipped.
_MAX_OVERFLOWS_FIXED_SCALE = 10
_MIN_SCALE = 1.0
# Errors that a non-finite number cannot cause.
_CODE_ERRORS = (TypeError, AttributeError, NameError, KeyError, ImportError, OSError)


class DivergenceGuard:
    """Checks each step of a training for non-finite numbers.

    Args:
        runner: the runner, with its model and optimizer built.
    """

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._losses: dict[str, Tensor] = {}
        self._batch: Any = None
        self._updated = False
        self._overflows = 0

    @contextmanager
    def monitor_steps(self) -> Iterator[None]:
        """Check every training step within the body."""
        handles = [self._model.register_forward_hook(self._store_losses)]
        handles += [optimizer.register_step_pre_hook(self._before_optimizer_step)
                    for optimizer in _optimizers(self._runner.optim_wrapper)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def train_step(self, batch: Any) -> Any:
        """Run the model's training step on ``batch``.

        Raises:
            DivergedError: a loss or a gradient is not finite, or the step failed because a number
                in it was not finite; no weight was changed by them.
        """
        self._batch, self._losses, self._updated = batch, {}, False
        wrapper = self._runner.optim_wrapper
        try:
            outputs = self._runner.model.train_step(batch, optim_wrapper=wrapper)
        except DetkitError:
            raise
        except Exception as error:
            self._raise_if_nonfinite(error)
            raise
        if not self._updated:
            # This step only accumulates gradients, or a GradScaler skipped the update.
            self._raise_unless(self._losses_finite())
            if _get_grad_scaler(wrapper) is not None and wrapper.should_update():
                self._count_overflow()
        self._batch, self._losses = None, {}
        return outputs

    @property
    def _model(self) -> Any:
        model = self._runner.model
        return model.module if is_model_wrapper(model) else model

    @property
    def _device(self) -> torch.device:
        return next((p.device for p in self._model.parameters()), torch.device("cpu"))

    def _store_losses(self, module: Any, inputs: Any, output: Any) -> None:
        if module.training and isinstance(output, Mapping):
            self._losses = dict(_reduce_losses(output))

    def _losses_finite(self) -> Tensor:
        """0-d bool tensor: whether all losses of the step are finite."""
        if not self._losses:
            return torch.ones((), dtype=torch.bool, device=self._device)
        losses = torch.stack([loss.to(self._device) for loss in self._losses.values()])
        return losses.isfinite().all()

    def _before_optimizer_step(self, optimizer: Any, *_: Any) -> None:
        self._updated = True
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"]
                     if p.grad is not None and p.grad.layout == torch.strided]
        # The largest magnitude, because a sum of squares may overflow.
        norm = get_total_norm([g for g in gradients if g.numel()], inf).to(self._device)
        losses_finite = self._losses_finite()
        if getattr(optimizer, "found_inf", None) is not None:
            # A fused optimizer checks for overflows itself, on gradients that are still scaled.
            self._raise_unless(losses_finite)
            if bool(norm.isfinite()):
                self._overflows = 0
            else:
                self._count_overflow()
            return
        self._raise_unless(losses_finite & norm.isfinite())
        self._overflows = 0

    def _count_overflow(self) -> None:
        wrapper = self._runner.optim_wrapper
        self._overflows += 1
        fixed_scale = getattr(wrapper, "_scale_update_param", None) is not None
        at_min_scale = fixed_scale or wrapper.loss_scaler.get_scale() <= _MIN_SCALE
        if at_min_scale and self._overflows >= (_MAX_OVERFLOWS_FIXED_SCALE
                                                if fixed_scale else _MAX_OVERFLOWS):
            self._raise_diverged(f"{self._overflows} steps in a row")

    def _raise_unless(self, finite: Tensor) -> None:
        if _any_process(~finite, self._device):
            self._raise_diverged()

    def _raise_diverged(self, note: str = "") -> None:
        """Raise DivergedError; all processes of the run call this together."""
        weights = nonfinite_names(self._model.named_parameters())
        losses = [name for name, loss in self._losses.items() if not bool(loss.isfinite())]
        if weights:
            divergence = Divergence("the weights", shorten_names(weights), self._batch)
        elif losses:
            values = [f"{name} = {float(self._losses[name])}" for name in losses]
            divergence = Divergence("the loss", shorten_names(values), self._batch)
        else:
            names = nonfinite_names((name, p.grad) for name, p in self._model.named_parameters())
            detail = f"of {shorten_names(names)}" if names else "their norm is infinite"
            detail = " ".join(filter(None, (detail, note)))
            divergence = Divergence("the gradients", detail, self._batch)
        if get_world_size() > 1:
            # Another process may have the cause, and all should raise the same error.
            failed_here = bool(weights or losses)
            gathered: list[Any] = [None] * get_world_size()
            torch.distributed.all_gather_object(gathered, (failed_here, divergence.without_batch()))
            divergence = next((item for failed, item in gathered if failed), gathered[0][1])
        else:
            divergence.source = find_nonfinite_module(self._runner, self._model, self._batch)
        raise divergence_error(self._runner, divergence)

    def _raise_if_nonfinite(self, error: Exception) -> None:
        """Raise DivergedError instead of ``error`` if a non-finite number caused it."""
        if isinstance(error, _CODE_ERRORS) or describe_system_failure(error) is not None:
            return
        message = f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
        if "device-side assert" in str(error):
            # After it this process cannot read anything from the GPU.
            divergence = Divergence("a value that failed an assertion on the GPU, such as a label,",
                                    message, self._batch)
            raise divergence_error(self._runner, divergence) from error
        weights = nonfinite_names(self._model.named_parameters())
        losses = [name for name, loss in self._losses.items() if not bool(loss.isfinite())]
        source = None
        if not weights and not losses and get_world_size() == 1:
            source = find_nonfinite_module(self._runner, self._model, self._batch)
        if weights or losses or source:
            quantity = "the weights" if weights else "the loss"
            detail = shorten_names(weights or losses) or f"it cannot be computed ({message})"
            divergence = Divergence(quantity, detail, self._batch, source)
            raise divergence_error(self._runner, divergence) from error


def ensure_finite_state(runner: Any, all_ranks: bool = True) -> None:
    """Check that weights and optimizer state are finite, such as before a checkpoint is saved.

    Args:
        runner: the runner.
        all_ranks: whether every process of the run calls this; all raise if one must. False
            checks this process only.

    Raises:
        DivergedError: a weight, an averaged weight or a value of the optimizer's state is NaN or
            infinite.
    """
    names = nonfinite_names(_named_run_weights(runner))
    names += nonfinite_names(flatten_tensors(runner.optim_wrapper.state_dict(), "optimizer"))
    if _any_process(bool(names), get_device()) if all_ranks else names:
        detail = shorten_names(names) or "those of another process"
        raise divergence_error(runner, Divergence("the weights", detail))


def _reduce_losses(losses: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Each loss as a 0-d tensor, summed as in mmengine's ``parse_losses``."""
    for name, value in losses.items():
        tensors = [value] if isinstance(value, Tensor) else value
        if "loss" in str(name) and isinstance(tensors, (list, tuple)) and tensors:
            if all(isinstance(tensor, Tensor) for tensor in tensors):
                means = [tensor.detach().float().mean() for tensor in tensors]
                yield str(name), torch.stack(means).sum()


def _named_run_weights(runner: Any) -> Iterator[tuple[str, Tensor]]:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    yield from named_weights(model)
    for hook in runner.hooks:
        averaged = getattr(hook, "ema_model", None)
        averaged = getattr(averaged, "module", averaged)  # some hooks keep it without a wrapper
        if isinstance(averaged, nn.Module):
            for name, tensor in named_weights(averaged):
                yield f"{name} of the averaged weights", tensor


def _optimizers(wrapper: Any) -> list[Any]:
    wrappers = wrapper.values() if hasattr(wrapper, "values") else [wrapper]
    return [item.optimizer for item in wrappers]


def _get_grad_scaler(wrapper: Any) -> Any | None:
    """The GradScaler of float16 mixed precision; None if the loss is not scaled."""
    scaler = getattr(wrapper, "loss_scaler", None)
    return scaler if scaler is not None and scaler.is_enabled() else None


def _any_process(flag: Tensor | bool, device: torch.device | str) -> bool:
    """Whether ``flag`` is true in any process of the run."""
    if get_world_size() == 1:
        return bool(flag)
    shared = torch.as_tensor(flag, device=device).to(torch.float32)
    torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
    return bool(shared)
