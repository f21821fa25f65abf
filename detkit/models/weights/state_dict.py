"""From what a checkpoint file holds to names and tensors, without its maker's wrappers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from detkit.checkpoints.content import check_state_dict
from detkit.checkpoints.read_checkpoint import read_checkpoint
from detkit.errors import WeightsError
from detkit.models.weights.converted_state_dict import StateDict

# Averaged weights before the last step's: a file that has both was published for the former.
# mmengine is not among them: its 'state_dict' already is the average.
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model", "module", "ema")
# What stands before a model's names, and what before a backbone's in it.
_AROUND_A_MODEL = ("module.", "model.")
_AROUND_A_BACKBONE = (*_AROUND_A_MODEL, "backbone.", "encoder.")


def content_of(checkpoint: str | Path | Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """What to call a checkpoint, and the names and tensors in it, as its maker has them.

    Args:
        checkpoint: a file as ``read_checkpoint`` takes it, or what it returns.

    Raises:
        WeightsError: the file cannot be read, or holds no tensors.
    """
    if isinstance(checkpoint, Mapping):
        return "the given dict", unwrapped(dict(checkpoint), "the given dict")
    origin = str(checkpoint)
    return origin, unwrapped(read_checkpoint(checkpoint), origin)


def unwrapped(content: Mapping[str, Any], origin: str) -> Mapping[str, Any]:
    """The names and tensors in what a file holds, out of the dicts that its maker put around.

    Args:
        content: as ``read_checkpoint`` gives it.
        origin: for messages.

    Raises:
        WeightsError: there are no tensors.
    """
    for _ in range(4):
        if any(isinstance(value, Tensor) for value in content.values()):
            return content
        inside = [content[k] for k in _WRAPPERS if isinstance(content.get(k), Mapping)]
        if not inside:
            break
        content = inside[0]
    raise WeightsError(
        f"checkpoint '{origin}': no weights in it",
        got=f"the keys {some([str(key) for key in content])}" if content else "an empty dict",
        expected=f"names and tensors, maybe under one of {', '.join(_WRAPPERS)}",
    )


def backbone_names(
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
    return _without(content, prefix, origin, _AROUND_A_BACKBONE)


def model_names(
    content: Mapping[str, Any], prefix: str | None, origin: str
) -> tuple[StateDict, list[str]]:
    """The same for a whole model: a backbone's names keep what says that they are."""
    return _without(content, prefix, origin, _AROUND_A_MODEL)


def some(names: Iterable[str], limit: int = 8) -> str:
    """The first names, and how many there are more."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _without(
    content: Mapping[str, Any], prefix: str | None, origin: str, prefixes: tuple[str, ...]
) -> tuple[StateDict, list[str]]:
    tensors = {name: value for name, value in content.items()
               if isinstance(name, str) and isinstance(value, Tensor)}
    check_state_dict(tensors, f"checkpoint '{origin}'")
    elsewhere: list[str] = [str(name) for name in content if name not in tensors]
    pending = [prefix if prefix.endswith(".") else f"{prefix}."] if prefix else list(prefixes)
    while pending:
        found = [p for p in pending if any(name.startswith(p) for name in tensors)]
        if not found:
            break
        pending.remove(found[0])
        elsewhere += [name for name in tensors if not name.startswith(found[0])]
        tensors = {
            name.removeprefix(found[0]): value
            for name, value in tensors.items()
            if name.startswith(found[0])
        }
    if prefix and pending:
        raise WeightsError(
            f"checkpoint '{origin}': no name in it begins with '{prefix}'",
            got=some(list(tensors)),
        )
    return tensors, elsewhere
