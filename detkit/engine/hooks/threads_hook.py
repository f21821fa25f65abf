"""The number of threads settled between the steps of a training, validation or test."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook

from detkit.machine.threads import update_num_threads


class ThreadsHook(Hook):  # type: ignore[misc]
    """Computes with as many threads as other processes leave cores for, in commands alone."""

    priority = "LOWEST"

    def _after_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None,
        mode: str = "train",
    ) -> None:
        update_num_threads()
