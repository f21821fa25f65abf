"""Training loops that resume in the middle of an epoch exactly.

They replace mmengine's loops of the same names in the scope ``detkit``.
"""

from __future__ import annotations

from typing import Any

from mmengine.dist import get_dist_info
from mmengine.runner import loops

from detkit.engine.divergence import DivergenceGuard, ensure_finite_state
from detkit.engine.reproducibility import SkippingBatchSampler, seed_iteration, seeded_dataloader
from detkit.errors import DataError
from detkit.registry import LOOPS


def _build_seeded_dataloader(runner: Any, dataloader: Any) -> Any:
    if isinstance(dataloader, dict):
        dataloader = runner.build_dataloader(dataloader, seed=runner.seed)
        rank, world_size = get_dist_info()
        dataloader = seeded_dataloader(dataloader, runner.seed, rank, world_size)
    return dataloader


def _check_has_batches(dataloader: Any) -> None:
    """Check that an epoch has a batch; with ``drop_last`` it needs as many images as a batch."""
    if len(dataloader):
        return
    size = getattr(dataloader.batch_sampler, "batch_size", dataloader.batch_size)
    raise DataError(
        "no training batches: drop_last=True and fewer images than batch_size",
        got=f"{len(dataloader.dataset)} images and batch_size={size}",
        hint="pass --cfg-options train_dataloader.batch_size=N with a smaller N",
    )


class _DivergenceGuardMixin:
    """A training loop that ends at the first non-finite loss, gradient or weight."""

    runner: Any

    def run(self) -> Any:
        """Train until the last epoch or iteration, or until a hook sets ``stop_training``.

        Raises:
            DivergedError: a loss, a gradient or a weight became NaN or infinite.
        """
        self._guard = DivergenceGuard(self.runner)
        with self._guard.monitor_steps():
            return self._run()

    def _run(self) -> Any:
        raise NotImplementedError


@LOOPS.register_module()
class EpochBasedTrainLoop(_DivergenceGuardMixin, loops.EpochBasedTrainLoop):  # type: ignore[misc]
    """mmengine's loop over epochs, which can also resume from a checkpoint within an epoch.

    Raises:
        DataError: there are fewer images than one batch, and ``drop_last`` is on.
    """

    def __init__(self, runner: Any, dataloader: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(runner, _build_seeded_dataloader(runner, dataloader), *args, **kwargs)
        _check_has_batches(self.dataloader)

    def _is_validation_due(self) -> bool:
        self._decide_current_val_interval()
        return (
            self.runner.val_loop is not None
            and self._epoch >= self.val_begin
            and (self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs)
        )

    def _run(self) -> Any:
        self.runner.call_hook("before_train")
        at_epoch_end = self._iter == self._epoch * len(self.dataloader)
        if self._iter > 0 and at_epoch_end and self._is_validation_due():
            # The checkpoint of an epoch is saved before the validation. If the run was killed in
            # between, the best score and early stopping still need this validation.
            self.runner.val_loop.run()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            if self._is_validation_due():
                ensure_finite_state(self.runner)
                self.runner.val_loop.run()
        self.runner.call_hook("after_train")
        return self.runner.model

    def run_epoch(self) -> None:
        """Train one epoch, or the rest of it after resuming."""
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        num_done = self._iter - self._epoch * len(self.dataloader)
        batch_sampler = self.dataloader.batch_sampler
        if not 0 <= num_done <= len(self.dataloader):
            self.runner.logger.warning(
                f"epoch {self._epoch + 1} starts at its first batch: iteration {self._iter} is not "
                f"in it, with {len(self.dataloader)} batches in each epoch; the run may have been "
                "started with another batch size or other data"
            )
            num_done = 0
        elif num_done and isinstance(batch_sampler, SkippingBatchSampler):
            batch_sampler.skip_next = num_done
        for index, batch in enumerate(self.dataloader, num_done):
            self.run_iter(index, batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Train one batch, with random seeds that depend on the iteration only."""
        seed_iteration(self.runner.seed, self.runner.rank, self._iter)
        self.runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        outputs = self._guard.train_step(data_batch)
        self.runner.call_hook("after_train_iter", batch_idx=idx, data_batch=data_batch,
                              outputs=outputs)
        self._iter += 1


@LOOPS.register_module()
class IterBasedTrainLoop(_DivergenceGuardMixin, loops.IterBasedTrainLoop):  # type: ignore[misc]
    """mmengine's loop over iterations; a resumed run skips the batches that were trained."""

    def __init__(self, runner: Any, dataloader: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(runner, _build_seeded_dataloader(runner, dataloader), *args, **kwargs)

    def _is_validation_due(self) -> bool:
        self._decide_current_val_interval()
        return (
            self.runner.val_loop is not None
            and self._iter >= self.val_begin
            and (self._iter % self.val_interval == 0 or self._iter == self._max_iters)
        )

    def _run(self) -> Any:
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        if self._iter > 0:
            self.dataloader_iterator.skip_iter(self._iter)
            if self._is_validation_due():
                self.runner.val_loop.run()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            if self._is_validation_due():
                ensure_finite_state(self.runner)
                self.runner.val_loop.run()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def run_iter(self, data_batch: Any) -> None:
        """Train one batch, with random seeds that depend on the iteration only."""
        seed_iteration(self.runner.seed, self.runner.rank, self._iter)
        self.runner.call_hook("before_train_iter", batch_idx=self._iter, data_batch=data_batch)
        outputs = self._guard.train_step(data_batch)
        self.runner.call_hook("after_train_iter", batch_idx=self._iter, data_batch=data_batch,
                              outputs=outputs)
        self._iter += 1
