"""Build static graphs of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from detkit.config.pipeline_cfg import get_test_pipeline_cfg
from detkit.config.validate.embedded_config import PIPELINE_KEY
from detkit.engine.load_model import load_model
from detkit.errors import (
    ConfigError,
    DetkitError,
    ExportError,
    describe_system_failure,
    format_error,
)
from detkit.inference.graph.build import build_static_graph
from detkit.inference.letterbox import resize_spec_from_pipeline
from detkit.inference.predictor_protocol import DETECTION
from detkit.machine.memory import available_memory
from detkit.machine.tensor_memory_limit import TensorMemoryLimit
from detkit.registry import import_mmdet

_MAX_MESSAGE = 200  # characters of an error of another library


class CheckpointGraphs:
    """Builds static graphs of a detector's checkpoint, which is loaded once.

    Args:
        path: the checkpoint.
        device: device of the weights.
        max_proposals: maximum number of RPN proposals passed to the RoI head; None for the
            config's.

    Attributes:
        model: the detector, in eval mode.
        cfg: the checkpoint's config.
        classes: name of each label.
        resize_spec: how its test pipeline resizes images.

    Raises:
        WeightsError: the file is not such a checkpoint.
        ConfigError: its config has no test pipeline, or one with invalid sizes.
        ExportError: it is a classifier's, or a step of the pipeline is not supported.
    """

    def __init__(
        self, path: Path, device: str = "cpu", max_proposals: int | None = None
    ) -> None:
        import_mmdet()
        loaded = load_model(path, device=device)
        self.model: Any = loaded.model
        if getattr(type(self.model), "task", DETECTION) != DETECTION:
            raise ExportError(f"{path} is a classifier's checkpoint", expected="a detector's")
        self.cfg = loaded.cfg
        self._max_proposals = max_proposals
        self.classes = tuple(loaded.classes)
        divisor = int(getattr(self.model.data_preprocessor, "pad_size_divisor", 1) or 1)
        pipeline = get_test_pipeline_cfg(loaded.cfg, str(path))
        try:
            self.resize_spec = resize_spec_from_pipeline(pipeline, divisor)
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            # An invalid size or color.
            raise ConfigError(f"the config in {path}: {PIPELINE_KEY} cannot be used",
                              got=format_error(error)) from error

    def graph(self, input_hw: tuple[int, int]) -> nn.Module:
        """The static graph for an input size (height, width); it shares the weights.

        Raises:
            ExportError: the model is not supported, or the input size does not fit.
        """
        try:
            with TensorMemoryLimit(available_memory()):
                return build_static_graph(self.model, input_hw, self._max_proposals)
        except DetkitError:
            raise
        except Exception as error:
            if describe_system_failure(error) is not None:
                raise
            raise ExportError("the checkpoint's model cannot be converted to a static graph",
                              got=format_error(error)[:_MAX_MESSAGE]) from error
