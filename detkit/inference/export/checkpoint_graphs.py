"""A checkpoint as a source of static graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from detkit.config.test_pipeline import pipeline_of
from detkit.config.validate.file_config import PIPELINE
from detkit.engine.build_model import load_model
from detkit.errors import ConfigError, DetkitError, ExportError, machine_failure, with_kind
from detkit.inference.graph.build import static_graph
from detkit.inference.letterbox import rule_of
from detkit.inference.predictor import DETECTION
from detkit.machine.bounded_tensors import BoundedTensors
from detkit.machine.memory import available_memory
from detkit.registry import import_mmdet

_SHOWN = 200  # characters of an error of another library


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
        rule: how its test pipeline brings pictures to size.

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
        pipeline = pipeline_of(loaded.cfg, str(path))
        try:
            self.rule = rule_of(pipeline, divisor)
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            # A size or a colour that is none.
            raise ConfigError(f"the config in {path}: {PIPELINE} cannot be used",
                              got=with_kind(error)) from error

    def graph(self, canvas_hw: tuple[int, int]) -> nn.Module:
        """The static graph for canvases of (height, width) ``canvas_hw``; shares the weights.

        Raises:
            ExportError: the model has no static form, or the canvas does not fit.
        """
        try:
            with BoundedTensors(available_memory()):
                return static_graph(self.model, canvas_hw, self._max_proposals)
        except DetkitError:
            raise
        except Exception as error:
            if machine_failure(error) is not None:
                raise
            raise ExportError("the model that the checkpoint describes has no static form",
                              got=with_kind(error)[:_SHOWN]) from error
