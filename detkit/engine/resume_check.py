"""Checks that the run state in a checkpoint matches the run that resumes it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from mmengine.logging import HistoryBuffer
from mmengine.model import is_model_wrapper
from torch import Tensor

from detkit.checkpoints.content import check_state_dict
from detkit.errors import WeightsError

_REQUIRED_KEYS = ("meta", "state_dict", "message_hub", "optimizer")
_HUB_KEYS = ("log_scalars", "runtime_info", "resumed_keys")
_MAX_CHARS = 60  # characters of a value in a message
_MAX_INT = 2**31 - 1  # mmengine's logger stores these as a C int

FieldCheck = tuple[str, Any, Callable[[Any], bool], str]


def check_run_state(filename: str, checkpoint: Mapping[str, Any], runner: Any) -> None:
    """Check that ``runner`` can resume from a checkpoint.

    Args:
        filename: of the checkpoint, for messages.
        checkpoint: the content of the file.
        runner: the runner, with its optimizer and schedulers built.

    Raises:
        WeightsError: the checkpoint has weights only, or a field is missing or has an invalid
            value; the message names the field.
    """
    missing = [key for key in _REQUIRED_KEYS if key not in checkpoint]
    if missing:
        raise WeightsError(
            f"{filename} cannot be resumed: missing {', '.join(missing)}",
            got="weights only", expected="a checkpoint of a run, such as epoch_N.pth",
            hint="start a new run from these weights with --cfg-options load_from=FILE",
        )
    for key in ("state_dict", "ema_state_dict"):
        if key in checkpoint:
            check_state_dict(checkpoint[key], f"{filename} cannot be resumed", key)
    names = {name.removeprefix("module.") for name in checkpoint["state_dict"]}
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    missing_weights = [name for name in model.state_dict() if name not in names]
    if missing_weights:
        raise WeightsError(f"{filename} cannot be resumed: weights of the model are missing",
                           got=f"{len(missing_weights)} missing, such as {missing_weights[0]}",
                           hint="resume with the config of that run")
    for path, value, is_valid, expected in _field_checks(checkpoint, runner):
        if not is_valid(value):
            raise WeightsError(
                f"{filename} cannot be resumed: {path}", got=_format_value(value),
                expected=expected,
                hint="resume another checkpoint of the run, or start a new run from these weights "
                "with --cfg-options load_from=FILE",
            )


def _field_checks(checkpoint: Mapping[str, Any], runner: Any) -> Iterator[FieldCheck]:
    """Path, value, check and expected value of each field; outer fields come before inner ones."""
    for key in ("meta", "message_hub", "optimizer"):
        yield key, checkpoint[key], _is_dict, "a dict"
    meta, hub = checkpoint["meta"], checkpoint["message_hub"]
    for key in ("epoch", "iter"):
        yield f"meta.{key}", meta.get(key), _is_count, f"an integer from 0 to {_MAX_INT}"
    yield "meta.seed", meta.get("seed", 0), _is_seed, "an integer from 0 to 2**32 - 1"
    yield "meta.experiment_name", meta.get("experiment_name", ""), _is_text, "a string"
    dataset_meta = meta.get("dataset_meta")
    yield "meta.dataset_meta", dataset_meta or {}, _is_dict, "a dict"
    for key in ("classes", "CLASSES"):
        classes = (dataset_meta or {}).get(key)
        yield f"meta.dataset_meta.{key}", classes, _are_names, "a list of names"
    for key in _HUB_KEYS:
        yield f"message_hub.{key}", hub.get(key), _is_dict, "a dict"
    for name, history in hub["log_scalars"].items():
        yield f"message_hub.log_scalars.{name}", history, _is_history, "a history buffer"
    for name, value in hub["runtime_info"].items():
        for prefix, (is_valid, expected) in _RUNTIME_CHECKS.items():
            if str(name).startswith(prefix):
                yield f"message_hub.runtime_info.{name}", value, is_valid, expected
    optimizer = getattr(runner.optim_wrapper, "optimizer", None)
    if optimizer is not None:  # None with several optimizers
        yield from _optimizer_checks(checkpoint["optimizer"], optimizer)
    if isinstance(runner.param_schedulers, list):
        yield from _scheduler_checks(checkpoint.get("param_schedulers", []), runner)


def _optimizer_checks(saved: Mapping[str, Any], optimizer: Any) -> Iterator[FieldCheck]:
    yield "optimizer.state", saved.get("state"), _is_dict, "a dict"
    for index, state in saved["state"].items():
        yield f"optimizer.state.{index}", state, _is_dict, "a dict"
    groups, current = saved.get("param_groups"), optimizer.param_groups
    yield "optimizer.param_groups", groups, _is_list, "a list"
    yield ("optimizer.param_groups", len(groups or ()), partial(operator.eq, len(current)),
           f"{len(current)} groups, as in the optimizer of the config")
    for index, (group, current_group) in enumerate(zip(groups or (), current)):
        path = f"optimizer.param_groups.{index}"
        yield path, group, _is_dict, "a dict"
        yield f"{path}.params", group.get("params"), _is_list, "a list"
        count = len(current_group["params"])
        yield (f"{path}.params", len(group["params"]), partial(operator.eq, count),
               f"{count} parameters, as in the model")
        yield from _check_same_types(group, current_group, path, "params")


def _scheduler_checks(saved: Any, runner: Any) -> Iterator[FieldCheck]:
    schedulers = runner.param_schedulers
    yield "param_schedulers", saved, _is_list, "a list"
    if len(saved) != len(schedulers):
        runner.logger.warning(
            f"the checkpoint has the state of {len(saved)} param_schedulers, the config has "
            f"{len(schedulers)}: those without a saved state start from the beginning")
    for index, (state, scheduler) in enumerate(zip(saved, schedulers)):
        path, current = f"param_schedulers.{index}", scheduler.state_dict()
        yield path, state, _is_dict, "a dict"
        unexpected = [name for name in state if name not in current]
        yield (path, unexpected, operator.not_,
               f"the state of {type(scheduler).__name__}, without these fields")
        yield from _check_same_types(state, current, path)


def _check_same_types(
    saved: Mapping[str, Any], current: Mapping[str, Any], path: str, *skipped: str
) -> Iterator[FieldCheck]:
    """Values must be numbers, or lists of numbers, where the current state has such."""
    for name, value in saved.items():
        current_value = current.get(name)
        if name in skipped or value is None or current_value is None:
            continue
        if _is_number(current_value):
            yield f"{path}.{name}", value, _is_number, f"a number, such as {current_value}"
        elif isinstance(current_value, (list, tuple)) and all(map(_is_number, current_value)):
            yield f"{path}.{name}", value, _are_numbers, "a list of numbers"


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or isinstance(value, Tensor) and value.numel() == 1


def _are_numbers(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_is_number, value))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_INT


def _are_counts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_is_count, value))


def _is_seed(value: Any) -> bool:
    return value is None or isinstance(value, int) and 0 <= value < 2**32


def _are_names(value: Any) -> bool:
    listed = isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value)
    return value is None or listed


def _is_history(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return isinstance(value, HistoryBuffer)
    tensors = [value.get("log_history"), value.get("count_history")]
    return all(isinstance(tensor, Tensor) and tensor.ndim == 1 for tensor in tensors) and _is_count(
        value.get("max_length"))


# Values that mmengine's hooks use, by the prefix of their name.
_RUNTIME_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "best_ckpt": (_is_text, "a path"),
    "last_ckpt": (_is_text, "a path"),
    "best_score": (_is_number, "a number"),
    "keep_ckpt_ids": (_are_counts, "a list of integers"),
}


def _format_value(value: Any) -> str:
    text = f"a {type(value).__name__}" if isinstance(value, (Mapping, Tensor)) else repr(value)
    return text if len(text) <= _MAX_CHARS else text[:_MAX_CHARS] + "..."
