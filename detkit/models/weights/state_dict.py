"""From what a checkpoint file holds to names and tensors, without its maker's wrappers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from detkit.checkpoints.content import check_state_dict
from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.errors import WeightsError
from detkit.models.weights.converted_state_dict import StateDict

# Averaged weights before the last step's: a file that has both was published for the former.
# mmengine is not among them: its 'state_dict' already is the average.
_WRAPPER_KEYS = ("state_dict_ema", "model_ema", "state_dict", "model", "module", "ema")
# What stands before a model's names, and what before a backbone's in it.
_MODEL_PREFIXES = ("module.", "model.")
_BACKBONE_PREFIXES = (*_MODEL_PREFIXES, "backbone.", "encoder.")


def read_state_dict(checkpoint: str | Path | Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """What to call a checkpoint, and the names and tensors in it, as its maker has them.

    Args:
        checkpoint: a file as ``load_checkpoint`` takes it, or what it returns.

    Raises:
        WeightsError: the file cannot be read, or holds no tensors.
    """
    if isinstance(checkpoint, Mapping):
        return "the given dict", unwrap(dict(checkpoint), "the given dict")
    origin = str(checkpoint)
    return origin, unwrap(load_checkpoint(checkpoint), origin)


def unwrap(content: Mapping[str, Any], origin: str) -> Mapping[str, Any]:
    """The names and tensors in what a file holds, out of the dicts that its maker put around.

    Args:
        content: as ``load_checkpoint`` gives it.
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
        got=f"the keys {shorten([str(key) for key in content])}" if content else "an empty dict",
        expected=f"names and tensors, maybe under one of {', '.join(_WRAPPER_KEYS)}",
    )


def strip_backbone_prefixes(
    content: Mapping[str, Any], prefix: str | None, origin: str
) -> tuple[StateDict, list[str]]:
    """Cut common prefixes off; where some names are a backbone's, only those are taken.

    Args:
        content: names and tensors.
        prefix: take only the names that begin so; None finds common prefixes out.
        origin: for messages.

    Returns:
        the tensors, and the names of what was not taken.

    Raises:
        WeightsError: no name begins with the prefix that was given.
    """
    return _strip_prefixes(content, prefix, origin, _BACKBONE_PREFIXES)


def strip_model_prefixes(
    content: Mapping[str, Any], prefix: str | None, origin: str
) -> tuple[StateDict, list[str]]:
    """The same for a whole model: a backbone's names keep what says that they are."""
    return _strip_prefixes(content, prefix, origin, _MODEL_PREFIXES)


def shorten(names: Iterable[str], limit: int = 8) -> str:
    """The first names, and how many there are more."""
    names = list(names)
    suffix = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + suffix


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
            f"checkpoint '{origin}': no name in it begins with '{prefix}'",
            got=shorten(list(tensors)),
        )
    return tensors, skipped_keys
