"""Early stopping whose state is kept over a resume."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import early_stopping_hook

from detkit.registry import HOOKS

_STATE = "early_stopping"


@HOOKS.register_module()
class EarlyStoppingHook(early_stopping_hook.EarlyStoppingHook):  # type: ignore[misc]
    """mmengine's hook of the same name; checkpoints contain its count and best score."""

    def before_train(self, runner: Any) -> None:
        """Restore the count and best score of a resumed run."""
        state = runner.message_hub.get_info(f"{_STATE}:{self.monitor}", None)
        if state is not None:
            self.wait_count = int(state["wait_count"])
            self.best_score = float(state["best_score"])

    def after_val_epoch(self, runner: Any, metrics: Any) -> None:
        """Stop the training after ``patience`` validations without improvement."""
        super().after_val_epoch(runner, metrics)
        state = {"wait_count": self.wait_count, "best_score": float(self.best_score)}
        runner.message_hub.update_info(f"{_STATE}:{self.monitor}", state)
