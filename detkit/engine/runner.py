"""mmengine's Runner with atomic checkpoints, loading as data, and distributed CPU training."""

from __future__ import annotations

import logging
import os
import pickle
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine import runner as mmengine_runner
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner.checkpoint import _load_checkpoint_to_model

from detkit.checkpoints.content import check_state_dict
from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.checkpoints.nonfinite import (
    ensure_finite_weights,
    named_weights,
    select_checked_weights,
)
from detkit.config.load_config import RUNNER_KEYS
from detkit.engine.divergence import ensure_finite_state
from detkit.engine.hooks.checkpoint_hook import PlainCheckpointHook
from detkit.engine.hooks.curves_hook import CurvesHook
from detkit.engine.resume_check import check_run_state
from detkit.errors import WeightsError
from detkit.files import atomic_replace
from detkit.machine.threads import update_num_threads
from detkit.registry import RUNNERS

# Long, or of no use to a user: mmengine about its own names and its default without a launcher.
_FILE_MESSAGES = ("Hooks will be executed", "Config:", "System environment", "paramwise_options",
                  '"FileClient" will be deprecated', '"HardDiskBackend" is the alias',
                  "Distributed training is not used")


def _pretrained_files(value: Any) -> Iterator[str]:
    """The checkpoint of every ``init_cfg`` in a config."""
    if isinstance(value, Mapping):
        if value.get("type") == "Pretrained" and value.get("checkpoint"):
            yield str(value["checkpoint"])
        for item in value.values():
            yield from _pretrained_files(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _pretrained_files(item)


def _is_for_users(record: logging.LogRecord) -> bool:
    return not record.getMessage().lstrip("\n- ").startswith(_FILE_MESSAGES)


class _ThreadsHook(Hook):  # type: ignore[misc]
    """Adjusts the number of torch threads to the free cores after each iteration, in commands."""

    priority = "LOWEST"

    def _after_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None,
        mode: str = "train",
    ) -> None:
        update_num_threads()


@RUNNERS.register_module()
class DetRunner(mmengine_runner.Runner):  # type: ignore[misc]
    """mmengine's Runner for runs that can be killed at any time and resumed exactly."""

    _needs_run_state = False

    def register_hooks(self, default_hooks: Any = None, custom_hooks: Any = None) -> None:
        """Register the hooks of the config and those of every run."""
        super().register_hooks(default_hooks, custom_hooks)
        self.register_hook(PlainCheckpointHook())
        self.register_hook(_ThreadsHook())

    def dump_config(self) -> None:
        """Write the run's config into the work dir, in a form that trains again.

        Variables of the config file, which are evaluated already, are left out. A test does not
        replace the config of the training whose model it tests.
        """
        path = Path(self.work_dir, Path(self.cfg.filename or f"{self.timestamp}.py").name)
        if not is_main_process() or self.cfg.get("train_cfg") is None and path.exists():
            return
        kept = {key: value for key, value in self.cfg.items() if key in RUNNER_KEYS}
        text = Config(kept, filename=self.cfg.filename).dump()
        with atomic_replace(path, "w") as file:
            file.write(str(text))

    def register_default_hooks(self, hooks: Any = None) -> None:
        """Register the default hooks of mmengine and detkit; None in the config removes one."""
        hooks = {"curves": CurvesHook(), **(hooks or {})}
        if hooks["curves"] is None:
            del hooks["curves"]
        super().register_default_hooks(hooks)

    def build_logger(self, *args: Any, **kwargs: Any) -> Any:
        """Log to stderr and to a file; some messages go to the file only."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler):
                continue
            handler.addFilter(_is_for_users)
            if isinstance(handler, logging.StreamHandler):
                # Not setStream: it flushes the stream of an earlier run, maybe closed.
                handler.stream = sys.stderr
        return logger

    def build_visualizer(self, visualizer: Any = None) -> Any:
        """Build a visualizer with a unique name.

        mmengine returns an existing visualizer of the same name, which would write to the folder
        of an earlier run in this process.
        """
        if isinstance(visualizer, Mapping):
            visualizer = {**visualizer, "name": f"{self._work_dir} {self._experiment_name}"}
        return super().build_visualizer(visualizer)

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: Any) -> Any:
        """Wrap the model for several processes; on CPUs without device ids."""
        if self.distributed and get_device() == "cpu" and not is_model_wrapper(model):
            options = dict(model_wrapper_cfg or {})
            options.setdefault("type", "MMDistributedDataParallel")
            options.setdefault("device_ids", None)
            options.setdefault("broadcast_buffers", False)
            find_unused = self.cfg.get("find_unused_parameters", False)
            options.setdefault("find_unused_parameters", find_unused)
            model_wrapper_cfg = options
        return super().wrap_model(model_wrapper_cfg, model)

    def _init_model_weights(self) -> None:
        """Initialize the weights, unless the run is resumed: its checkpoint has all weights.

        Raises:
            WeightsError: the file of an ``init_cfg`` does not exist, cannot be loaded or
                downloaded, or has weights that are not finite.
        """
        if self._resume and self._load_from:
            return
        try:
            super()._init_model_weights()
        # Raised for a failed download or an invalid file.
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            message = " ".join(str(error).split()) or type(error).__name__
            raise WeightsError(
                f"could not load the initial weights ({message[:200]})",
                hint="set a local file as checkpoint of that init_cfg, for a backbone with "
                "--cfg-options model.backbone.init_cfg.type=Pretrained "
                "model.backbone.init_cfg.checkpoint=FILE",
            ) from error
        model = self.model.module if is_model_wrapper(self.model) else self.model
        files = ", ".join(dict.fromkeys(_pretrained_files(self.cfg.get("model"))))
        ensure_finite_weights(dict(named_weights(model)), files or "the model's initialization")

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Save a checkpoint; a file of that name is replaced in one step.

        Raises:
            DivergedError: the weights are not finite; nothing was saved.
        """
        # Of this process only, because hooks may call this in the main process only.
        ensure_finite_state(self, all_ranks=False)
        if "://" in str(out_dir):
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        if is_main_process():
            Path(out_dir).mkdir(parents=True, exist_ok=True)
            with atomic_replace(Path(out_dir, filename), "wb", fsync=True) as file:
                super().save_checkpoint(out_dir, Path(file.name).name, *args, **kwargs)

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = "cpu",
        strict: bool = False,
        revise_keys: Any = ((r"^module\.", ""),),
    ) -> Any:
        """Load weights from a file or a URL as data: nothing in the file is executed.

        Raises:
            WeightsError: the file cannot be loaded, no tensor has a name of the model, or a tensor
                is not finite.
        """
        checkpoint = load_checkpoint(filename, map_location)
        if self._needs_run_state:
            check_run_state(filename, checkpoint, self)
            # mmengine would execute this text to read the number of GPUs.
            checkpoint["meta"].pop("config", None)
        if "state_dict" not in checkpoint:
            checkpoint = {"state_dict": checkpoint, "meta": {}}
        check_state_dict(checkpoint["state_dict"], str(filename))
        model = self.model.module if is_model_wrapper(self.model) else self.model
        weights = select_checked_weights(checkpoint, model,
                                         lambda name: self._revise_key(name, revise_keys))
        ensure_finite_weights(weights, str(filename))
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        model_state = model.state_dict()
        names = [self._revise_key(name, revise_keys) for name in checkpoint["state_dict"]]
        if not any(name in model_state for name in names):
            raise WeightsError(
                f"{filename}: no tensor has a name of the model",
                got=", ".join(names[:3]) or "no tensors", expected=", ".join(list(model_state)[:3]),
            )
        _load_checkpoint_to_model(model, checkpoint, strict, revise_keys=list(revise_keys))
        self._has_loaded = True
        self.logger.info(f"Loaded {filename}")
        return checkpoint

    @staticmethod
    def _revise_key(name: str, revise_keys: Any) -> str:
        for pattern, replacement in revise_keys:
            name = re.sub(pattern, replacement, name)
        return name

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Resume the run of a checkpoint.

        Raises:
            WeightsError: the file has weights only, or its run state does not match this run.
        """
        self._needs_run_state = True
        super().resume(filename, *args, **kwargs)
        self.logger.info(
            f"Resuming {os.path.basename(filename)}: epoch {self.epoch + 1}, "
            f"iteration {self.iter + 1}"
        )
