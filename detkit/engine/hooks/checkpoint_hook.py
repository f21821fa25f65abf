"""Hooks that save checkpoints of plain data and never lose the previous one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook, checkpoint_hook
from mmengine.logging import HistoryBuffer

from detkit.engine.divergence import ensure_finite_state
from detkit.errors import ConfigError
from detkit.files import PARTIAL_SUFFIX
from detkit.registry import HOOKS

_HISTORY_KEYS = ("log_history", "count_history", "max_length")


@HOOKS.register_module()
class CheckpointHook(checkpoint_hook.CheckpointHook):  # type: ignore[misc]
    """mmengine's hook of the same name; it removes old files only after saving the new one."""

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict[str, Any]) -> None:
        ensure_finite_state(runner)  # called in all processes together
        outdated = None
        keep = getattr(self, "keep_ckpt_ids", None)
        if self.max_keep_ckpts > 0 and keep is not None and step not in keep:
            if len(keep) == self.max_keep_ckpts:
                outdated = keep.popleft()
        super()._save_checkpoint_with_step(runner, step, meta)
        if outdated is not None and is_main_process():
            name = self.filename_tmpl.format(outdated)
            path = self.file_backend.join_path(self.out_dir, name)
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)

    def _save_best_checkpoint(self, runner: Any, metrics: Any) -> None:
        indicators = [
            name for name in getattr(self, "key_indicators", None) or [] if name != "auto"
        ]
        missing = [name for name in indicators if name not in metrics]
        if metrics and missing:
            raise ConfigError("default_hooks.checkpoint.save_best is not a metric of the evaluator",
                              got=missing[0], expected=f"one of {', '.join(map(str, metrics))}")
        # mmengine would remove the previous best file before it saves the new one.
        previous = getattr(self, "best_ckpt_path", None)
        if previous is None:
            super()._save_best_checkpoint(runner, metrics)
            return
        self.best_ckpt_path = None
        super()._save_best_checkpoint(runner, metrics)
        if self.best_ckpt_path is None:
            self.best_ckpt_path = previous
        elif previous != self.best_ckpt_path and is_main_process() and self._is_in_out_dir(
                previous):
            self.file_backend.remove(previous)

    def _is_in_out_dir(self, best: str) -> bool:
        """Whether ``best`` is a best checkpoint in the folder of this run.

        A run that was resumed from another folder has the path of a file there.
        """
        folder, name = os.path.split(best)
        inside = os.path.abspath(folder) == os.path.abspath(self.out_dir)
        return inside and name.startswith("best_") and self.file_backend.isfile(best)


class PlainCheckpointHook(Hook):  # type: ignore[misc]
    """Converts the content of checkpoints to tensors, numbers, strings, lists and dicts.

    torch reads such files with ``weights_only=True`` without additional safe globals.
    """

    priority = "LOWEST"

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Convert mmengine's history buffers and numpy values."""
        for key in ("meta", "message_hub", "param_schedulers"):
            if key in checkpoint:
                checkpoint[key] = to_plain(checkpoint[key])

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Restore the history buffers that mmengine expects."""
        hub = checkpoint.get("message_hub")
        if isinstance(hub, dict) and isinstance(hub.get("log_scalars"), dict):
            hub["log_scalars"] = {k: _to_history(v) for k, v in hub["log_scalars"].items()}


def to_plain(value: Any) -> Any:
    """The same content in tensors, numbers, strings, lists, tuples and dicts."""
    if isinstance(value, HistoryBuffer):
        logs, counts = value.data
        values = (torch.as_tensor(logs), torch.as_tensor(counts), value.max_length)
        return dict(zip(_HISTORY_KEYS, values))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return torch.as_tensor(value)
    if isinstance(value, dict):
        return {to_plain(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [to_plain(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, (set, frozenset)):
        return {to_plain(item) for item in value}
    if isinstance(value, Path):
        return str(value)
    return value


def _to_history(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == set(_HISTORY_KEYS):
        logs, counts = value["log_history"].numpy(), value["count_history"].numpy()
        buffer = HistoryBuffer(max_length=value["max_length"])
        # HistoryBuffer's constructor copies through lists and loses the dtype.
        buffer._log_history, buffer._count_history = logs, counts
        return buffer
    return value


def remove_partial_files(folder: Path) -> list[str]:
    """Remove the partial checkpoints of a killed run in ``folder``; returns their names."""
    paths = [path for path in sorted(folder.glob(f".*.pth*{PARTIAL_SUFFIX}"))
             if path.is_file() and not path.is_symlink()]
    for path in paths:
        path.unlink()
    return [path.name for path in paths]
