"""Loads a checkpoint as data: tensors, numbers, text and containers, never code."""

from __future__ import annotations

import argparse
import codecs
import logging
import os
import pickle
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy
import torch

from detkit.checkpoints.content import MalformedCheckpointError, check_content
from detkit.checkpoints.download import download
from detkit.checkpoints.file_kind import describe_file, is_exported_model, missing_file_error
from detkit.checkpoints.file_structure import check_file_structure
from detkit.checkpoints.pickle_check import UnsafeCheckpointError, UnsafeGlobalError
from detkit.checkpoints.published.find_published import PUBLISHED_PREFIX, fetch, find_by_name
from detkit.errors import WeightsError
from detkit.trust import trust_enabled

logger = logging.getLogger(__name__)
_STATISTICS = ("min", "max", "current", "mean")


def load_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Load a ``.pth`` file, or any file of torch.save, or a ``.safetensors`` file.

    Nothing in the file is executed unless the user trusts it (``detkit.trust``).

    Args:
        path: a local file, an http(s) URL (see ``download``), or 'published:NAME' for published
            weights (see ``detkit.checkpoints.published``).
        map_location: the device of the tensors.

    Returns:
        The content of the file: names and tensors of a safetensors file or a bare state dict,
        otherwise the dict that was saved.

    Raises:
        WeightsError: the file does not exist, is damaged, cannot be read without executing code,
            would decompress to more than its size, or does not hold a dict of tensors, numbers,
            text and containers.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise WeightsError("checkpoint", got=f"a value of type {type(path).__name__}",
                           expected="the path of a file")
    text = str(path)
    # A Path of an address has lost a slash.
    text = re.sub(r"^(https?):/(?=[^/])", r"\1://", text)
    if text.startswith(PUBLISHED_PREFIX):
        published = find_by_name(text.removeprefix(PUBLISHED_PREFIX))
        file = fetch(published)
        logger.info("published weights '%s', license %s: %s", published.name, published.license,
                    file)
    elif urlparse(text).scheme in ("http", "https"):
        file = download(text)
    else:
        file = Path(text.removeprefix("file://")).expanduser()
    if not file.is_file():
        raise missing_file_error(file, text)
    content = _read_safetensors(file) if file.suffix == ".safetensors" else _read_torch(file)
    if not isinstance(content, dict):
        raise WeightsError(
            f"checkpoint '{text}'",
            got=f"a {type(content).__name__}",
            expected="a dict of names and tensors",
        )
    try:
        check_content(content)
    except MalformedCheckpointError as error:
        raise _unsafe_file_error(file, error) from error
    moved: dict[str, Any] = _move_to_device(content, map_location)
    return moved


def _read_safetensors(file: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(str(file)))
    except (SafetensorError, OSError, ValueError) as error:
        raise _corrupt_file_error(file, error) from error


def _read_torch(file: Path) -> Any:
    try:
        if not trust_enabled():
            check_file_structure(file)
        with torch.serialization.safe_globals(_safe_globals()):
            return torch.load(file, map_location="cpu", weights_only=not trust_enabled())
    except (pickle.UnpicklingError, UnsafeGlobalError) as error:
        unsafe_names = _unsafe_globals(file)
        if isinstance(error, UnsafeGlobalError):
            unsafe_names = sorted({*unsafe_names, str(error)})
        if not unsafe_names:
            raise _corrupt_file_error(file, error) from error
        raise WeightsError(
            f"checkpoint '{file}' can only be read by executing code from it",
            got=f"objects of {', '.join(unsafe_names)}",
            expected="tensors, numbers, text and containers",
            hint="if you trust its author, pass --trust",
        ) from error
    except UnsafeCheckpointError as error:
        raise _unsafe_file_error(file, error) from error
    # torch takes any bytes for a pickle and fails in many ways: IndexError, struct.error,
    # KeyError, EOFError, RuntimeError, ...
    except Exception as error:
        raise _corrupt_file_error(file, error) from error


def _move_to_device(value: Any, device: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        moved = type(value)()  # attributes of the dict, as a state dict's _metadata, are left out
        for key, item in value.items():
            moved[key] = _move_to_device(item, device)
        return moved
    if isinstance(value, list):
        return [_move_to_device(item, device) for item in value]
    return value


def _unsafe_globals(file: Path) -> list[str]:
    """The functions and classes in the file that are not allowed; empty if it is damaged."""
    try:
        with torch.serialization.safe_globals(_safe_globals()):
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(str(file)))
    except Exception:  # noqa: B902 - legacy and damaged files; the caller reports them
        return []


def _safe_globals() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What mmengine's checkpoints hold besides tensors: their log and numpy values."""
    from mmengine.logging import HistoryBuffer

    numpy_core = "numpy._core" if hasattr(numpy, "_core") else "numpy.core"  # since numpy 2
    multiarray = import_module(f"{numpy_core}.multiarray")
    allowed: list[Any] = [
        HistoryBuffer,
        argparse.Namespace,
        numpy.ndarray,
        numpy.dtype,
        (_history_method, "builtins.getattr"),
        (codecs.encode, "_codecs.encode"),
    ]
    for module in ("numpy._core.multiarray", "numpy.core.multiarray"):
        allowed.append((multiarray._reconstruct, f"{module}._reconstruct"))
        allowed.append((multiarray.scalar, f"{module}.scalar"))
    dtype_classes = (getattr(numpy.dtypes, name)
                     for name in dir(numpy.dtypes)
                     if name.endswith("DType"))
    return allowed + [dtype_class for dtype_class in dtype_classes if isinstance(dtype_class, type)]


def _history_method(owner: object, name: str) -> Any:
    """Replaces ``getattr``, by which mmengine's log names four of its own methods.

    The real ``getattr`` would give access to any attribute of any object.
    """
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise pickle.UnpicklingError(f"access to the attribute '{name}' of {owner!r}")
    return getattr(HistoryBuffer, name)


def _corrupt_file_error(file: Path, error: Exception) -> WeightsError:
    reason = " ".join(str(error).split())[:200]
    return _other_file_error(file) or WeightsError(
        f"checkpoint '{file}' cannot be read ({type(error).__name__}: {reason})",
        hint="it may be damaged or not a checkpoint: download or save it again",
    )


def _unsafe_file_error(file: Path, error: Exception) -> WeightsError:
    return _other_file_error(file) or WeightsError(
        f"checkpoint '{file}' is rejected", got=str(error),
        expected="dense tensors, numbers, text and containers, as torch.save writes them",
        hint="load it in the library that wrote it, and save its state dict to a new file",
    )


def _other_file_error(file: Path) -> WeightsError | None:
    """The error for a file that is known to be something else; None for others."""
    kind = describe_file(file)
    return None if kind is None else WeightsError(
        f"checkpoint '{file}'", got=kind, expected="a .pth or .safetensors file",
        hint="an exported model is used by its folder" if is_exported_model(file) else None)
