"""Builds the model of a checkpoint from the config and weights in the file."""

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
from detkit.checkpoints.nonfinite import (
    ensure_finite_weights,
    select_checked_weights,
    shorten_names,
)
from detkit.config.pipeline_cfg import find_test_pipeline
from detkit.config.validate.embedded_config import (
    ensure_safe_model,
    ensure_safe_pipeline,
    remove_pretrained_sources,
)
from detkit.engine.devices import parse_device
from detkit.errors import DetkitError, WeightsError, format_error
from detkit.machine.tensor_memory_limit import TensorMemoryLimit
from detkit.trust import trust_enabled, trust_files

_MAX_SHOWN = 3
# Measured while the models of the shipped configs are built: tensors of at most 1.1 times the size
# of the weights in float32, and 14 operations for each tensor.
_MEMORY_FACTOR, _EXTRA_BYTES = 4, 1 << 30
_OPS_PER_TENSOR, _EXTRA_OPS = 20, 20_000


@dataclass(frozen=True)
class LoadedModel:
    """A detector or classifier ready for inference.

    Args:
        model: in eval mode, on the requested device.
        cfg: the config of the checkpoint.
        classes: the class names in the order of the labels.
    """

    model: nn.Module
    cfg: Config
    classes: tuple[str, ...]


def load_model(
    checkpoint: str | Path, device: str = "auto", trust: bool = False
) -> LoadedModel:
    """Build the model of a checkpoint and load its weights; the file alone is enough.

    The config text in the file is parsed as literals. Its model and test pipeline may use only
    component types that take numbers and strings, and the weights must match the model exactly.

    Args:
        checkpoint: a file written by detkit or by MMDetection 3.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'; 'auto' is a GPU if there is one.
        trust: allow all registered component types, and pickled objects: code in the file may be
            executed.

    Raises:
        WeightsError: the file holds more than data, has no config or classes, or its weights do
            not match the model of its config.
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
            f"{checkpoint} is not a checkpoint of a run",
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
        raise WeightsError(f"{origin} has no config", hint="use a checkpoint of detkit train")
    content = parse_literals(text, f"the config in {origin}")
    if not isinstance(content.get("model"), dict):
        raise WeightsError(f"the config in {origin} has no model")
    update_names(content)
    try:
        return Config(content)
    except (KeyError, TypeError) as error:
        raise WeightsError(f"the config in {origin} is invalid", got=error) from error


def _require_classes(meta: Mapping[str, Any], cfg: Config, origin: str) -> tuple[str, ...]:
    from detkit.config.infer.infer_fields import get_config_classes

    classes = _get_classes(meta)
    if classes is None:
        classes = get_config_classes(cfg)
    if isinstance(classes, str) or not isinstance(classes, Sequence) or not classes:
        raise WeightsError(f"{origin} has no class names",
                           hint="use a checkpoint of detkit train")
    return tuple(str(name) for name in classes)


def _ensure_data_only(cfg: Config, origin: str) -> None:
    """Check that the config names only allowed component types, before any is built."""
    if cfg.get("data_preprocessor") is not None:
        cfg.model.setdefault("data_preprocessor", cfg.data_preprocessor)
    remove_pretrained_sources(cfg.model)
    ensure_safe_model(cfg, origin)
    ensure_safe_pipeline(find_test_pipeline(cfg) or [], origin)


def _limit_memory(weights: Mapping[str, torch.Tensor]) -> AbstractContextManager[Any]:
    """Limit the memory of the model, which can be little larger than its weights."""
    if trust_enabled():
        return nullcontext()
    # The size of the storages, because expand() gives a few bytes any shape.
    storage_bytes = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for tensor in weights.values()
    }
    return TensorMemoryLimit(_MEMORY_FACTOR * sum(storage_bytes.values()) + _EXTRA_BYTES,
                             _EXTRA_OPS + _OPS_PER_TENSOR * len(weights))


def _build_model(cfg: Config, origin: str) -> nn.Module:
    with DefaultScope.overwrite_default_scope(detkit_registry.get_default_scope(cfg)):
        try:
            model: nn.Module = detkit_registry.MODELS.build(cfg.model)
        except DetkitError:
            raise
        except Exception as error:
            # The file may come from any library and release, with any value in its config.
            raise WeightsError(f"the model of the config in {origin} cannot be built",
                               got=format_error(error)) from error
    return model


def load_state_dict_strict(model: nn.Module, weights: Any, origin: str) -> None:
    """Load all tensors of a state dict into ``model``, or none.

    Args:
        model: the model, without a distributed wrapper.
        weights: the state dict; a prefix ``module.`` of the names is removed.
        origin: the file, for messages.

    Raises:
        WeightsError: a key is missing or unexpected, or a tensor has another shape or is not
            finite.
    """
    check_state_dict(weights, origin)
    weights = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    model_state = model.state_dict()
    missing_keys = sorted(set(model_state) - set(weights))
    unexpected_keys = sorted(set(weights) - set(model_state))
    mismatched_keys = [
        n for n in model_state if n in weights and model_state[n].shape != weights[n].shape
    ]
    for names, problem in ((missing_keys, "missing keys"), (unexpected_keys, "unexpected keys"),
                           (mismatched_keys, "keys with another shape")):
        if names:
            raise WeightsError(f"{origin} does not fit the model of the config: {problem} "
                               f"{shorten_names(names)}")
    ensure_finite_weights(
        select_checked_weights({"state_dict": weights}, model)["state_dict"], origin)
    model.load_state_dict(weights)


def _resolve_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    parse_device(device)
    return torch.device(device)
