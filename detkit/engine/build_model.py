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

from detkit import registry as ours
from detkit.checkpoints.config_text import parse_literals
from detkit.checkpoints.content import check_state_dict
from detkit.checkpoints.last_checkpoint import read_any_checkpoint
from detkit.config.test_pipeline import find_pipeline
from detkit.config.validate.file_config import drop_sources, ensure_plain_model, ensure_plain_steps
from detkit.engine.devices import check_device
from detkit.engine.nonfinite import ensure_finite_weights, weights_in
from detkit.errors import DetkitError, WeightsError, with_kind
from detkit.machine.bounded_tensors import BoundedTensors
from detkit.trust import trusting_files, trusts_files

_SHOWN = 3
# While a model of the shipped configs is built, the tensors in use are at most 1.1 times those of
# its file, and the operations 14 for each. Half precision in a file is 2 times already.
_TIMES, _MORE_BYTES = 4, 1 << 30
_CALLS_OF_EACH, _MORE_CALLS = 20, 20_000


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
    where = _torch_device(device)
    with trusting_files(trust or trusts_files()):
        return _loaded(checkpoint, where)


def _loaded(checkpoint: str | Path, where: torch.device) -> LoadedModel:
    content = read_any_checkpoint(checkpoint)
    meta = content.get("meta")
    if not isinstance(meta, Mapping) or "state_dict" not in content:
        raise WeightsError(
            f"{checkpoint} is no checkpoint of a model",
            got=f"the keys {', '.join(map(str, list(content)[:_SHOWN]))}",
            expected="'meta' and 'state_dict', as training writes them",
        )
    cfg = _carried_config(meta, str(checkpoint))
    classes = _carried_classes(meta, cfg, str(checkpoint))
    _ensure_plain(cfg, str(checkpoint))
    check_state_dict(content["state_dict"], str(checkpoint))
    with _bounded(content["state_dict"]):
        model = _built(cfg, str(checkpoint))
    load_exactly(model, content["state_dict"], str(checkpoint))
    model.to(where).eval()
    return LoadedModel(model, cfg, classes)


def carried_classes(checkpoint: str | Path) -> tuple[str, ...] | None:
    """The class names that ``checkpoint`` carries, None when it does not say them.

    Raises:
        WeightsError: there is no such file, or it holds more than data.
    """
    meta = read_any_checkpoint(checkpoint).get("meta")
    found = _classes_of(meta) if isinstance(meta, Mapping) else None
    return tuple(str(name) for name in found) if isinstance(found, (list, tuple)) else None


def _classes_of(meta: Mapping[str, Any]) -> Any:
    dataset_meta = meta.get("dataset_meta")
    if not isinstance(dataset_meta, Mapping):
        return None
    return dataset_meta.get("classes", dataset_meta.get("CLASSES"))


def _carried_config(meta: Mapping[str, Any], origin: str) -> Config:
    text = meta.get("cfg", meta.get("config"))
    if not isinstance(text, str) or not text.strip():
        raise WeightsError(f"{origin} carries no config", do="use a file that detkit train wrote")
    content = parse_literals(text, f"the config in {origin}")
    if not isinstance(content.get("model"), dict):
        raise WeightsError(f"the config in {origin} describes no model")
    try:
        return Config(content)
    except (KeyError, TypeError) as error:
        raise WeightsError(f"the config in {origin} cannot be used", got=error) from error


def _carried_classes(meta: Mapping[str, Any], cfg: Config, origin: str) -> tuple[str, ...]:
    from detkit.config.infer.infer_fields import data_classes

    classes = _classes_of(meta)
    if classes is None:
        classes = data_classes(cfg)
    if isinstance(classes, str) or not isinstance(classes, Sequence) or not classes:
        raise WeightsError(f"{origin} does not say its classes",
                           do="use a file that detkit train wrote")
    return tuple(str(name) for name in classes)


def _ensure_plain(cfg: Config, origin: str) -> None:
    """Check what a command may build of the config, before any of it is."""
    if cfg.get("data_preprocessor") is not None:
        cfg.model.setdefault("data_preprocessor", cfg.data_preprocessor)
    drop_sources(cfg.model)
    ensure_plain_model(cfg, origin)
    ensure_plain_steps(find_pipeline(cfg) or [], origin)


def _bounded(weights: Mapping[str, torch.Tensor]) -> AbstractContextManager[Any]:
    """Keep a model from being far larger than its weights, which will have to fit it."""
    if trusts_files():
        return nullcontext()
    # Of the memory, which tensors may share: a few bytes expand to any shape.
    held = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
            for one in weights.values()}
    return BoundedTensors(_TIMES * sum(held.values()) + _MORE_BYTES,
                          _MORE_CALLS + _CALLS_OF_EACH * len(weights))


def _built(cfg: Config, origin: str) -> nn.Module:
    scope = str(cfg.get("default_scope") or ours.SCOPE)
    with DefaultScope.overwrite_default_scope(scope):
        try:
            model: nn.Module = ours.MODELS.build(cfg.model)
        except DetkitError:
            raise
        except Exception as error:
            # Whoever wrote the file, with whichever release: any value in it may be none of ours.
            raise WeightsError(f"the config in {origin} describes a model that cannot be built",
                               got=with_kind(error)) from error
    return model


def load_exactly(model: nn.Module, weights: Any, origin: str) -> None:
    """Load ``weights``, a state dict, into ``model``, or refuse all of them.

    Raises:
        WeightsError: a tensor is missing, unknown, of another shape or not finite; ``origin`` says
            whose.
    """
    check_state_dict(weights, origin)
    weights = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    ours_now = model.state_dict()
    missing = sorted(set(ours_now) - set(weights))
    strange = sorted(set(weights) - set(ours_now))
    misfits = [n for n in ours_now if n in weights and ours_now[n].shape != weights[n].shape]
    for names, what in ((missing, "lacks"), (strange, "has, and the model has not,"),
                        (misfits, "has in another shape than the model")):
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise WeightsError(
                f"{origin} does not fit the model of the config: "
                f"it {what} {', '.join(names[:_SHOWN])}{more}"
            )
    ensure_finite_weights(weights_in({"state_dict": weights}, model)["state_dict"], origin)
    model.load_state_dict(weights)


def _torch_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    check_device(device)
    return torch.device(device)
