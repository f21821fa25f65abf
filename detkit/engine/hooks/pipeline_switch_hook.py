"""Switch the training pipeline for the last epochs: strong augmentation off, a clean end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import IterBasedTrainLoop

from detkit.errors import ConfigError, format_error
from detkit.registry import HOOKS, TRANSFORMS


@HOOKS.register_module()
class PipelineSwitchHook(Hook):  # type: ignore[misc]
    """Replace the training pipeline from an epoch on.

    mmdet's hook, which also finds the pipeline inside of dataset wrappers: the innermost dataset's
    with its loading steps, or that of a MultiImageMixDataset, which keeps the pipeline of the
    dataset inside of it. A run that is resumed after the switch continues with the new pipeline.

    Args:
        switch_epoch: number of epochs before the switch.
        switch_pipeline: the steps after it.
        last_fraction: in place of ``switch_epoch``: the fraction of the epochs after the switch,
            rounded to whole epochs and at least one; 0.1 of 18 epochs are the last 2.

    Raises:
        ConfigError: not exactly one of ``switch_epoch`` and ``last_fraction`` is given, one is out
            of its range, or there are no steps.
    """

    def __init__(
        self,
        switch_epoch: int | None = None,
        switch_pipeline: Sequence[Mapping[str, Any]] = (),
        last_fraction: float | None = None,
    ) -> None:
        if (switch_epoch is None) == (last_fraction is None):
            raise ConfigError("PipelineSwitchHook: switch_epoch and last_fraction",
                              got="neither" if switch_epoch is None else "both",
                              expected="one of them")
        if switch_epoch is not None and switch_epoch < 0:
            raise ConfigError("PipelineSwitchHook: switch_epoch", got=switch_epoch,
                              expected="0 or more")
        if last_fraction is not None and not 0 < last_fraction <= 1:
            raise ConfigError("PipelineSwitchHook: last_fraction", got=last_fraction,
                              expected="more than 0, at most 1")
        if not switch_pipeline:
            raise ConfigError("PipelineSwitchHook: switch_pipeline", got="no steps",
                              expected="the steps of a training pipeline")
        self.switch_epoch = switch_epoch
        self.switch_pipeline = list(switch_pipeline)
        self.last_fraction = last_fraction
        self._steps: list[Any] = []
        self._has_switched = False

    def before_train(self, runner: Any) -> None:
        """Find the epoch of the switch, and try the steps: what is wrong shows at the start.

        Raises:
            ConfigError: the training counts iterations, no dataset has a pipeline, or the steps
                fail on its first image.
        """
        _check_counts_epochs(runner, "PipelineSwitchHook")
        if self.last_fraction is not None:
            num_last = max(1, round(runner.max_epochs * self.last_fraction))
            self.switch_epoch = runner.max_epochs - num_last
        self._steps = [TRANSFORMS.build(dict(step)) for step in self.switch_pipeline]
        for dataset in _datasets_with_pipeline(runner.train_dataloader.dataset):
            state = dict(vars(dataset))
            self._set_pipeline(dataset)
            try:
                dataset[0]
            except Exception as error:
                raise ConfigError(
                    "PipelineSwitchHook: switch_pipeline fails on the first training image",
                    got=format_error(error),
                    hint="it replaces the whole pipeline, loading included, but of a "
                    "MultiImageMixDataset only its own") from error
            finally:
                vars(dataset).update(state)

    def before_train_epoch(self, runner: Any) -> None:
        """Switch when the epoch is reached."""
        if self._has_switched or runner.epoch < self.switch_epoch:
            return
        for dataset in _datasets_with_pipeline(runner.train_dataloader.dataset):
            self._set_pipeline(dataset)
        restart_workers(runner.train_dataloader)
        self._has_switched = True
        runner.logger.info(f"Epoch {runner.epoch + 1}: switched the training pipeline to "
                           f"{', '.join(str(step['type']) for step in self.switch_pipeline)}")

    def _set_pipeline(self, dataset: Any) -> None:
        if _is_mix_dataset(dataset):
            dataset.pipeline = self._steps
            dataset.pipeline_types = [step["type"] for step in self.switch_pipeline]
        else:
            from mmcv.transforms import Compose

            dataset.pipeline = Compose(self._steps)


@HOOKS.register_module()
class YOLOXModeSwitchHook(Hook):  # type: ignore[misc]
    """mmdet's hook for any detector: leave out steps of a MultiImageMixDataset in the last epochs.

    Finds that dataset inside of wrappers, and adds the L1 loss only to a head that has one, as
    YOLOX's. mmdet's own fails at the switch for other detectors and wrapped datasets.

    Args:
        num_last_epochs: number of epochs at the end; mmdet counts one more.
        skip_type_keys: the ``type`` of the steps to leave out.
    """

    def __init__(
        self,
        num_last_epochs: int = 15,
        skip_type_keys: Sequence[str] = ("Mosaic", "RandomAffine", "MixUp"),
    ) -> None:
        self.num_last_epochs = num_last_epochs
        self.skip_type_keys = tuple(skip_type_keys)
        self._has_switched = False

    def before_train(self, runner: Any) -> None:
        """Check that there is something to switch off.

        Raises:
            ConfigError: the training counts iterations, no dataset is a MultiImageMixDataset, or
                none of its steps is in ``skip_type_keys``.
        """
        _check_counts_epochs(runner, "YOLOXModeSwitchHook")
        types = [name for dataset in _mix_datasets(runner) for name in dataset.pipeline_types]
        if not types:
            raise ConfigError("YOLOXModeSwitchHook: the training data is no MultiImageMixDataset",
                              hint="use PipelineSwitchHook, which replaces any pipeline")
        if not set(types) & set(self.skip_type_keys):
            raise ConfigError("YOLOXModeSwitchHook: skip_type_keys names no step of the pipeline",
                              got=", ".join(map(str, self.skip_type_keys)),
                              expected=f"some of {', '.join(map(str, types))}")

    def before_train_epoch(self, runner: Any) -> None:
        """Switch when the epoch is reached."""
        first = runner.max_epochs - self.num_last_epochs
        if self._has_switched or runner.epoch + 1 < first:
            return
        for dataset in _mix_datasets(runner):
            dataset.update_skip_type_keys(list(self.skip_type_keys))
        restart_workers(runner.train_dataloader)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        head: Any = getattr(getattr(model, "detector", model), "bbox_head", None)
        if hasattr(head, "use_l1"):
            head.use_l1 = True
        self._has_switched = True
        runner.logger.info(f"Epoch {runner.epoch + 1}: no {', '.join(self.skip_type_keys)} from "
                           "here on")


def restart_workers(dataloader: Any) -> None:
    """Have the next pass over ``dataloader`` start new workers: running ones have a copy of it."""
    if getattr(dataloader, "persistent_workers", False):
        dataloader._iterator = None


def _check_counts_epochs(runner: Any, name: str) -> None:
    if isinstance(runner.train_loop, IterBasedTrainLoop):
        raise ConfigError(f"{name}: the training counts iterations, not epochs",
                          hint="train with EpochBasedTrainLoop, or remove the hook")


def _mix_datasets(runner: Any) -> Iterator[Any]:
    for dataset in _datasets_with_pipeline(runner.train_dataloader.dataset):
        if _is_mix_dataset(dataset):
            yield dataset


def _is_mix_dataset(dataset: Any) -> bool:
    from mmdet.datasets import MultiImageMixDataset

    return isinstance(dataset, MultiImageMixDataset)


def _datasets_with_pipeline(dataset: Any) -> Iterator[Any]:
    """The outermost datasets with a pipeline in ``dataset``: itself, or inside of wrappers.

    Raises:
        ConfigError: one has no pipeline and no dataset inside.
    """
    if "pipeline" in vars(dataset):
        yield dataset
        return
    inner = [vars(dataset)[name] for name in ("dataset", "datasets") if name in vars(dataset)]
    if not inner:
        raise ConfigError(f"{type(dataset).__name__} has no pipeline that a hook can switch")
    for item in inner[0] if isinstance(inner[0], (list, tuple)) else inner:
        yield from _datasets_with_pipeline(item)
