"""Extract the state dict of a checkpoint: unwrap it and strip common prefixes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from detkit.checkpoints.content import check_state_dict
from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.errors import WeightsError
from detkit.models.weights.converted_state_dict import StateDict
from detkit.models.weights.source_arch import SourceArch, find_source_arch
from detkit.text import list_names

# Averaged weights first: a file that has both was published for them. mmengine needs no entry: its
# 'state_dict' is the average.
_WRAPPER_KEYS = ("state_dict_ema", "model_ema", "state_dict", "model", "module", "ema")
# Prefixes of a model's names, and of a backbone's.
_MODEL_PREFIXES = ("module.", "model.")
_BACKBONE_PREFIXES = (*_MODEL_PREFIXES, "backbone.", "encoder.")


def read_state_dict(
    checkpoint: str | Path | Mapping[str, Any]
) -> tuple[str, Mapping[str, Any], SourceArch | None]:
    """Get the name of a checkpoint for messages, its state dict, and the network it says it holds.

    Args:
        checkpoint: a file as ``load_checkpoint`` takes it, or what it returns.

    Raises:
        WeightsError: the file cannot be read, or holds no tensors.
    """
    if isinstance(checkpoint, Mapping):
        origin, content = "the given dict", dict(checkpoint)
        return origin, unwrap(content, origin), find_source_arch(None, content)
    origin, content = str(checkpoint), load_checkpoint(checkpoint)
    return origin, unwrap(content, origin), find_source_arch(origin, content)


def unwrap(content: Mapping[str, Any], origin: str) -> Mapping[str, Any]:
    """Get the state dict from the content of a file, out of nested dicts.

    Args:
        content: as ``load_checkpoint`` returns it.
        origin: for messages.

    Raises:
        WeightsError: there are no tensors.
    """
    for _ in range(4):
        if any(isinstance(value, Tensor) for value in content.values()):
            return content
        inner = [content[k] for k in _WRAPPER_KEYS if isinstance(content.get(k), Mapping)]
        if not inner:
            break
        content = inner[0]
    raise WeightsError(
        f"checkpoint '{origin}': no weights in it",
        got=f"the keys {list_names(content, 8)}" if content else "an empty dict",
        expected=f"names and tensors, optionally under one of {', '.join(_WRAPPER_KEYS)}",
    )


def strip_backbone_prefixes(
    content: Mapping[str, Any], prefix: str | None, origin: str
) -> tuple[StateDict, list[str]]:
    """Strip common prefixes; where some names have a backbone's prefix, take only those.

    Args:
        content: names and tensors.
        prefix: take only names with this prefix; None detects common prefixes.
        origin: for messages.

    Returns:
        the tensors, and the names that were skipped.

    Raises:
        WeightsError: no name has the given ``prefix``.
    """
    return _strip_prefixes(content, prefix, origin, _BACKBONE_PREFIXES)


def strip_model_prefixes(
    content: Mapping[str, Any], prefix: str | None, origin: str
) -> tuple[StateDict, list[str]]:
    """Same, but keeps the ``backbone.`` prefix."""
    return _strip_prefixes(content, prefix, origin, _MODEL_PREFIXES)


def _strip_prefixes(
    content: Mapping[str, Any], prefix: str | None, origin: str, prefixes: tuple[str, ...]
) -> tuple[StateDict, list[str]]:
    tensors = {name: value for name, value in content.items()
               if isinstance(name, str) and isinstance(value, Tensor)}
    check_state_dict(tensors, f"checkpoint '{origin}'")
    skipped_keys: list[str] = [str(name) for name in content if name not in tensors]
    pending = [prefix if prefix.endswith(".") else f"{prefix}."] if prefix else list(prefixes)
    while pending:
        matching = [p for p in pending if any(name.startswith(p) for name in tensors)]
        if not matching:
            break
        pending.remove(matching[0])
        skipped_keys += [name for name in tensors if not name.startswith(matching[0])]
        tensors = {
            name.removeprefix(matching[0]): value
            for name, value in tensors.items()
            if name.startswith(matching[0])
        }
    if prefix and pending:
        raise WeightsError(
            f"checkpoint '{origin}': no name begins with '{prefix}'",
            got=list_names(tensors, 8),
        )
    return tensors, skipped_keys
