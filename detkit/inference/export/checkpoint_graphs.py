"""A checkpoint as a source of static graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from detkit.config.pipeline_cfg import get_test_pipeline_cfg
from detkit.config.validate.file_config import PIPELINE_KEY
from detkit.engine.build_model import load_model
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
    """A detector's checkpoint, ready to become static graphs; its weights are read once.

    Args:
        path: the checkpoint.
        device: where the weights go.
        max_proposals: of a two-stage detector, at most so many proposals reach its second stage;
            None for as many as its config says.

    Attributes:
        model: the detector, in eval mode.
        cfg: the config that it carries.
        classes: the names that labels index.
        resize_spec: how its test pipeline brings pictures to size.

    Raises:
        WeightsError: the file is no such checkpoint.
        ConfigError: its config has no test pipeline, or one with sizes that are none.
        ExportError: it is a classifier's, or a step of the pipeline has no static form.
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
            # A size or a colour that is none.
            raise ConfigError(f"the config in {path}: {PIPELINE_KEY} cannot be used",
                              got=format_error(error)) from error

    def graph(self, input_hw: tuple[int, int]) -> nn.Module:
        """The static graph for canvases of (height, width) ``input_hw``; shares the weights.

        Raises:
            ExportError: the model has no static form, or the canvas does not fit.
        """
        try:
            with TensorMemoryLimit(available_memory()):
                return build_static_graph(self.model, input_hw, self._max_proposals)
        except DetkitError:
            raise
        except Exception as error:
            if describe_system_failure(error) is not None:
                raise
            raise ExportError("the model that the checkpoint describes has no static form",
                              got=format_error(error)[:_MAX_MESSAGE]) from error
