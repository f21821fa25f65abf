"""Mean and std of the images that a classifier with an ``input_norm`` was trained on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from detkit.checkpoints.config_text import parse_literals
from detkit.checkpoints.load_checkpoint import load_checkpoint

logger = logging.getLogger(__name__)

_NORM_EPS = 1e-5  # torch's default


def take_input_statistics(model: Mapping[str, Any], checkpoint: Path) -> None:
    """Let a model normalize its images as the classifier in ``checkpoint`` did.

    Args:
        model: the config of a model whose backbone begins with the checkpoint's; mean and std of
            its ``data_preprocessor`` are set where the classifier had an ``input_norm`` without
            weights and the model has none. Else nothing is changed.
        checkpoint: a checkpoint that holds the backbone.
    """
    preprocessor = model.get("data_preprocessor")
    content = load_checkpoint(checkpoint)
    state = content.get("state_dict", content)
    mean, var = (state.get(f"input_norm.running_{name}") for name in ("mean", "var"))
    if (mean is None or var is None or "input_norm.weight" in state
            or not isinstance(preprocessor, dict) or model.get("input_norm")):
        return
    trained = parse_literals(content["meta"]["cfg"], str(checkpoint), ("model",))["model"]
    trained_preprocessor = trained.get("data_preprocessor") or {}
    inner_mean = torch.tensor(trained_preprocessor.get("mean") or [0.0])
    inner_std = torch.tensor(trained_preprocessor.get("std") or [1.0])
    scale = (var + trained["input_norm"].get("eps", _NORM_EPS)).sqrt()
    preprocessor["mean"] = [round(value, 3) for value in (inner_mean + inner_std * mean).tolist()]
    preprocessor["std"] = [round(value, 3) for value in (inner_std * scale).tolist()]
    logger.info("the images are normalized as for the classifier of %s: mean %s, std %s",
                checkpoint, preprocessor["mean"], preprocessor["std"])
