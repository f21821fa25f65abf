"""The predictor that a checkpoint, or an exported folder, gets, as the flags of the engine say."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from detkit.cli.engine_args import AUTO, MMDET
from detkit.cli.progress import status
from detkit.errors import DetkitError, ExportError


def build_predictor(
    args: argparse.Namespace,
    original_hw: tuple[int, int] | None = None,
    num_streams: int = 1,
    batch: int = 8,
) -> tuple[Any, str]:
    """The predictor that looks, and one line on what it looks with.

    A classifier, and a detector that no engine can run, look as they were trained, unless an
    engine was asked for.

    Args:
        args: has ``checkpoint``, ``device``, and what `add_engine_flags` adds.
        original_hw: of the pictures to come, in pixels; None when it is not known.
        num_streams: calls that an engine serves side by side.
        batch: at most so many pictures go through an engine at once.

    Raises:
        WeightsError: the file is no checkpoint.
        ExportError: the engine that was asked for cannot run the model.
        DetkitError: a flag does not go with the checkpoint.
    """
    from detkit.engine.devices import set_cpu_threads, set_device

    set_cpu_threads(set_device(args.device))
    explicit_flags = explicit_engine_flags(args)
    if args.checkpoint.is_dir():
        return _exported_predictor(args, original_hw, num_streams, batch)
    if args.engine == MMDET:
        if explicit_flags:
            raise DetkitError(
                f"{explicit_flags[0]}: --engine mmdet looks as the checkpoint was trained, "
                "and this is for engines", hint=f"leave {explicit_flags[0]} out")
        return _trained_predictor(args)
    from detkit.inference.engine_predictor import EnginePredictor

    try:
        with status(f"preparing an engine for {args.checkpoint}"):
            predictor = EnginePredictor.from_checkpoint(
                args.checkpoint, engine=args.engine, precision=args.precision, size=args.size,
                original_hw=original_hw, device=args.device, num_streams=num_streams, batch=batch,
                max_proposals=args.max_proposals,
            )
        return predictor, predictor.summary()
    except ExportError as error:
        from detkit.inference.predictor import CLASSIFICATION

        fallback = _trained_predictor(args)
        if fallback[0].task == CLASSIFICATION:
            if explicit_flags:
                raise DetkitError(
                    f"{explicit_flags[0]}: {args.checkpoint} holds a classifier, and this is "
                    "for detectors", hint=f"leave {explicit_flags[0]} out") from error
            return fallback
        if explicit_flags:
            raise
        print(f"{args.checkpoint}: goes through mmdet, as no engine can run it: {error}",
              file=sys.stderr)
        return fallback


def _trained_predictor(args: argparse.Namespace) -> tuple[Any, str]:
    from detkit.inference.predictor import CLASSIFICATION, Predictor

    predictor: Any = Predictor(args.checkpoint, device=args.device)
    library = "torch" if predictor.task == CLASSIFICATION else MMDET
    return predictor, f"{library}, device {args.device}"


def _exported_predictor(
    args: argparse.Namespace, original_hw: tuple[int, int] | None, num_streams: int, batch: int
) -> tuple[Any, str]:
    from detkit.inference.engine_predictor import EnginePredictor

    if args.engine == MMDET:
        raise DetkitError(f"--engine mmdet: {args.checkpoint} is an exported folder",
                          hint="give the checkpoint that it was made of")
    fixed = [flag for flag in explicit_engine_flags(args) if flag != "--engine"]
    if fixed:
        raise DetkitError(f"{fixed[0]}: {args.checkpoint} is an exported folder, which has its own",
                          hint=f"leave {fixed[0]} out")
    predictor = EnginePredictor.from_folder(args.checkpoint, engine=args.engine, device=args.device,
                                            num_streams=num_streams, batch=batch,
                                            original_hw=original_hw)
    return predictor, predictor.summary()


def explicit_engine_flags(args: argparse.Namespace) -> list[str]:
    """Those of the flags that ask for an engine, or for something of one; none by default."""
    is_set = {
        "--engine": args.engine not in (None, AUTO, MMDET), "--precision": args.precision != AUTO,
        "--size": args.size is not None, "--max-proposals": args.max_proposals is not None,
    }
    return [flag for flag, was_given in is_set.items() if was_given]
