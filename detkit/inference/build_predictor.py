"""Choose and load the predictor of a checkpoint or an exported folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from detkit.errors import DetkitError, ExportError
from detkit.inference.predictor_protocol import CLASSIFICATION, PredictorProtocol

AUTO, MMDET = "auto", "mmdet"


def build_predictor(
    checkpoint: Path,
    engine: str | None = AUTO,
    precision: str = AUTO,
    size: tuple[int, int] | int | None = None,
    max_proposals: int | None = None,
    device: str = AUTO,
    original_hw: tuple[int, int] | None = None,
    num_streams: int = 1,
    batch_size: int = 8,
    on_fallback: Callable[[str], None] = lambda reason: None,
) -> PredictorProtocol[Any]:
    """Load a checkpoint with an engine where one can run it, else with the library that trained it.

    Args:
        checkpoint: a checkpoint, or a folder that ``detkit export`` wrote.
        engine: the name of an engine; 'auto' for the fastest; 'mmdet' for the library that the
            checkpoint was trained with; None for 'auto' if ``checkpoint`` is a folder or an option
            of engines is given, else 'mmdet'.
        precision: as of `EnginePredictor.from_checkpoint`; 'auto' for a folder.
        size, max_proposals: as of `EnginePredictor.from_checkpoint`; None for a folder.
        device, original_hw, num_streams, batch_size: as of `EnginePredictor.from_checkpoint`.
        on_fallback: called with the reason when no engine can run a detector, which then runs in
            mmdet.

    Raises:
        WeightsError: the file is not a checkpoint.
        ExportError: the engine cannot run the model.
        DetkitError: an option does not apply to the checkpoint. Options are named by their flags.
    """
    options = {"--precision": precision != AUTO, "--size": size is not None,
               "--max-proposals": max_proposals is not None}
    engine_options = [flag for flag, is_set in options.items() if is_set]
    if engine is None:
        engine = AUTO if engine_options or checkpoint.is_dir() else MMDET
    if checkpoint.is_dir():
        return _load_exported(checkpoint, engine, engine_options, device, original_hw, num_streams,
                              batch_size)
    if engine == MMDET:
        if engine_options:
            raise DetkitError(f"{engine_options[0]}: is an option of engines, and --engine mmdet "
                              "runs none", hint=f"leave {engine_options[0]} out")
        return _load_trained(checkpoint, device)
    from detkit.inference.engine_predictor import EnginePredictor

    try:
        return EnginePredictor.from_checkpoint(
            checkpoint, engine=engine, precision=precision, size=size, original_hw=original_hw,
            device=device, num_streams=num_streams, batch_size=batch_size,
            max_proposals=max_proposals,
        )
    except ExportError as error:
        explicit_flags = ["--engine"] * (engine != AUTO) + engine_options
        predictor = _load_trained(checkpoint, device)
        if predictor.task == CLASSIFICATION:
            if explicit_flags:
                raise DetkitError(f"{explicit_flags[0]}: is for detectors, and {checkpoint} holds "
                                  "a classifier", hint=f"leave {explicit_flags[0]} out") from error
            return predictor
        if explicit_flags:
            raise
        on_fallback(str(error))
        return predictor


def _load_trained(checkpoint: Path, device: str) -> PredictorProtocol[Any]:
    from detkit.inference.predictor import Predictor

    return Predictor(checkpoint, device=device)


def _load_exported(
    folder: Path, engine: str, engine_options: list[str], device: str,
    original_hw: tuple[int, int] | None, num_streams: int, batch_size: int,
) -> PredictorProtocol[Any]:
    from detkit.inference.engine_predictor import EnginePredictor

    if engine == MMDET:
        raise DetkitError(f"--engine mmdet: {folder} is an exported folder",
                          hint="give the checkpoint that it was exported from")
    if engine_options:
        raise DetkitError(f"{engine_options[0]}: {folder} is an exported folder, where it is fixed",
                          hint=f"leave {engine_options[0]} out")
    return EnginePredictor.from_folder(
        folder, engine=engine, device=device, num_streams=num_streams, batch_size=batch_size,
        original_hw=original_hw)
