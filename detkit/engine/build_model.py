"""A model made again from a checkpoint alone, which is data and never code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from detkit import registry as detkit_registry
from detkit.aliases import update_names
from detkit.checkpoints.config_text import parse_literals
from detkit.checkpoints.content import check_state_dict
from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.checkpoints.nonfinite import ensure_finite_weights, select_checked_weights
from detkit.config.pipeline_cfg import find_test_pipeline
from detkit.config.validate.file_config import (
    ensure_safe_model,
    ensure_safe_pipeline,
    remove_pretrained_sources,
)
from detkit.engine.devices import parse_device
from detkit.errors import DetkitError, WeightsError, format_error
from detkit.machine.tensor_memory_limit import TensorMemoryLimit
from detkit.trust import trust_enabled, trust_files

_MAX_SHOWN = 3
# While a model of the shipped configs is built, the tensors in use are at most 1.1 times those of
# its file, and the operations 14 for each. Half precision in a file is 2 times already.
_MEMORY_FACTOR, _EXTRA_BYTES = 4, 1 << 30
_OPS_PER_TENSOR, _EXTRA_OPS = 20, 20_000


@dataclass(frozen=True)
class LoadedModel:
    """A detector or classifier ready to predict.

    Args:
        model: in eval mode, on the device that was asked for.
        cfg: the config that the checkpoint carries; nothing of it was executed.
        classes: name of each label, in order.
    """

    model: nn.Module
    cfg: Config
    classes: tuple[str, ...]


def load_model(
    checkpoint: str | Path, device: str = "auto", trust: bool = False
) -> LoadedModel:
    """Make the model that ``checkpoint`` holds, from what the file carries and nothing else.

    The config text in the file is parsed as literals, its model and test pipeline may name only
    component types that are built from numbers and texts alone, and the weights must fit the
    model without a rest.

    Args:
        checkpoint: a file written by detkit or by MMDetection 3.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'; 'auto' is a GPU where there is one.
        trust: take any registered component type, and pickled objects: code in the file may be
            executed.

    Raises:
        WeightsError: the file holds more than data, carries no config or classes, or its weights
            do not fit the model that its config describes.
        DetkitError: there is no such device.
    """
    torch_device = _resolve_device(device)
    with trust_files(trust or trust_enabled()):
        return _load_model(checkpoint, torch_device)


def _load_model(checkpoint: str | Path, torch_device: torch.device) -> LoadedModel:
    content = load_checkpoint(checkpoint)
    meta = content.get("meta")
    if not isinstance(meta, Mapping) or "state_dict" not in content:
        raise WeightsError(
            f"{checkpoint} is no checkpoint of a model",
            got=f"the keys {', '.join(map(str, list(content)[:_MAX_SHOWN]))}",
            expected="'meta' and 'state_dict', as training writes them",
        )
    cfg = _parse_config(meta, str(checkpoint))
    classes = _require_classes(meta, cfg, str(checkpoint))
    _ensure_data_only(cfg, str(checkpoint))
    check_state_dict(content["state_dict"], str(checkpoint))
    with _limit_memory(content["state_dict"]):
        model = _build_model(cfg, str(checkpoint))
    load_state_dict_strict(model, content["state_dict"], str(checkpoint))
    model.to(torch_device).eval()
    return LoadedModel(model, cfg, classes)


def checkpoint_classes(content: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The class names in the content of a checkpoint; None if it has none."""
    meta = content.get("meta")
    classes = _get_classes(meta) if isinstance(meta, Mapping) else None
    return tuple(str(name) for name in classes) if isinstance(classes, (list, tuple)) else None


def _get_classes(meta: Mapping[str, Any]) -> Any:
    dataset_meta = meta.get("dataset_meta")
    if not isinstance(dataset_meta, Mapping):
        return None
    return dataset_meta.get("classes", dataset_meta.get("CLASSES"))


def _parse_config(meta: Mapping[str, Any], origin: str) -> Config:
    text = meta.get("cfg", meta.get("config"))
    if not isinstance(text, str) or not text.strip():
        raise WeightsError(f"{origin} carries no config", hint="use a file that detkit train wrote")
    content = parse_literals(text, f"the config in {origin}")
    if not isinstance(content.get("model"), dict):
        raise WeightsError(f"the config in {origin} describes no model")
    update_names(content)
    try:
        return Config(content)
    except (KeyError, TypeError) as error:
        raise WeightsError(f"the config in {origin} cannot be used", got=error) from error


def _require_classes(meta: Mapping[str, Any], cfg: Config, origin: str) -> tuple[str, ...]:
    from detkit.config.infer.infer_fields import get_config_classes

    classes = _get_classes(meta)
    if classes is None:
        classes = get_config_classes(cfg)
    if isinstance(classes, str) or not isinstance(classes, Sequence) or not classes:
        raise WeightsError(f"{origin} does not say its classes",
                           hint="use a file that detkit train wrote")
    return tuple(str(name) for name in classes)


def _ensure_data_only(cfg: Config, origin: str) -> None:
    """Check what a command may build of the config, before any of it is."""
    if cfg.get("data_preprocessor") is not None:
        cfg.model.setdefault("data_preprocessor", cfg.data_preprocessor)
    remove_pretrained_sources(cfg.model)
    ensure_safe_model(cfg, origin)
    ensure_safe_pipeline(find_test_pipeline(cfg) or [], origin)


def _limit_memory(weights: Mapping[str, torch.Tensor]) -> AbstractContextManager[Any]:
    """Keep a model from being far larger than its weights, which will have to fit it."""
    if trust_enabled():
        return nullcontext()
    # Of the memory, which tensors may share: a few bytes expand to any shape.
    storage_bytes = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for tensor in weights.values()
    }
    return TensorMemoryLimit(_MEMORY_FACTOR * sum(storage_bytes.values()) + _EXTRA_BYTES,
                             _EXTRA_OPS + _OPS_PER_TENSOR * len(weights))


def _build_model(cfg: Config, origin: str) -> nn.Module:
    scope = str(cfg.get("default_scope") or detkit_registry.SCOPE)
    with DefaultScope.overwrite_default_scope(scope):
        try:
            model: nn.Module = detkit_registry.MODELS.build(cfg.model)
        except DetkitError:
            raise
        except Exception as error:
            # Whoever wrote the file, with whichever release: any value in it may be none of ours.
            raise WeightsError(f"the config in {origin} describes a model that cannot be built",
                               got=format_error(error)) from error
    return model


def load_state_dict_strict(model: nn.Module, weights: Any, origin: str) -> None:
    """Load ``weights``, a state dict, into ``model``, or refuse all of them.

    Raises:
        WeightsError: a tensor is missing, unknown, of another shape or not finite; ``origin`` says
            whose.
    """
    check_state_dict(weights, origin)
    weights = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    model_state = model.state_dict()
    missing_keys = sorted(set(model_state) - set(weights))
    unexpected_keys = sorted(set(weights) - set(model_state))
    mismatched_keys = [
        n for n in model_state if n in weights and model_state[n].shape != weights[n].shape
    ]
    for names, problem in ((missing_keys, "lacks"), (unexpected_keys,
                                                     "has, and the model has not,"),
                           (mismatched_keys, "has in another shape than the model")):
        if names:
            more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
            raise WeightsError(
                f"{origin} does not fit the model of the config: "
                f"it {problem} {', '.join(names[:_MAX_SHOWN])}{more}"
            )
    ensure_finite_weights(
        select_checked_weights({"state_dict": weights}, model)["state_dict"], origin)
    model.load_state_dict(weights)


def _resolve_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    parse_device(device)
    return torch.device(device)
