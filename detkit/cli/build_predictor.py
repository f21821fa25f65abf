"""The predictor that a checkpoint, or an exported folder, gets, as the flags of the engine say."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from detkit.cli.engine_args import AUTO, MMDET
from detkit.cli.progress import status
from detkit.errors import DetkitError, ExportError


def choose_predictor(
    args: argparse.Namespace,
    image_hw: tuple[int, int] | None = None,
    streams: int = 1,
    batch: int = 8,
) -> tuple[Any, str]:
    """The predictor that looks, and one line on what it looks with.

    A classifier, and a detector that no engine can run, look as they were trained, unless an
    engine was asked for.

    Args:
        args: has ``checkpoint``, ``device``, and what `add_engine_flags` adds.
        image_hw: of the pictures to come, in pixels; None when it is not known.
        streams: calls that an engine serves side by side.
        batch: at most so many pictures go through an engine at once.

    Raises:
        WeightsError: the file is no checkpoint.
        ExportError: the engine that was asked for cannot run the model.
        DetkitError: a flag does not go with the checkpoint.
    """
    from detkit.engine.devices import set_threads, use_device

    set_threads(use_device(args.device))
    asked = asked_flags(args)
    if args.checkpoint.is_dir():
        return _exported(args, image_hw, streams, batch)
    if args.engine == MMDET:
        if asked:
            raise DetkitError(f"{asked[0]}: --engine mmdet looks as the checkpoint was trained, "
                              "and this is for engines", do=f"leave {asked[0]} out")
        return _trained(args)
    from detkit.inference.engine_predictor import EnginePredictor

    try:
        with status(f"preparing an engine for {args.checkpoint}"):
            fast = EnginePredictor.from_checkpoint(
                args.checkpoint, engine=args.engine, precision=args.precision, size=args.size,
                image_hw=image_hw, device=args.device, streams=streams, batch=batch,
                max_proposals=args.max_proposals,
            )
        return fast, fast.describe()
    except ExportError as error:
        from detkit.inference.predictor import CLASSIFICATION

        trained = _trained(args)
        if trained[0].task == CLASSIFICATION:
            if asked:
                raise DetkitError(f"{asked[0]}: {args.checkpoint} holds a classifier, and this is "
                                  "for detectors", do=f"leave {asked[0]} out") from error
            return trained
        if asked:
            raise
        print(f"{args.checkpoint}: goes through mmdet, as no engine can run it: {error}",
              file=sys.stderr)
        return trained


def _trained(args: argparse.Namespace) -> tuple[Any, str]:
    from detkit.inference.predictor import CLASSIFICATION, Predictor

    predictor: Any = Predictor(args.checkpoint, device=args.device)
    library = "torch" if predictor.task == CLASSIFICATION else MMDET
    return predictor, f"{library}, device {args.device}"


def _exported(
    args: argparse.Namespace, image_hw: tuple[int, int] | None, streams: int, batch: int
) -> tuple[Any, str]:
    from detkit.inference.engine_predictor import EnginePredictor

    if args.engine == MMDET:
        raise DetkitError(f"--engine mmdet: {args.checkpoint} is an exported folder",
                          do="give the checkpoint that it was made of")
    fixed = [flag for flag in asked_flags(args) if flag != "--engine"]
    if fixed:
        raise DetkitError(f"{fixed[0]}: {args.checkpoint} is an exported folder, which has its own",
                          do=f"leave {fixed[0]} out")
    exported = EnginePredictor.from_folder(
        args.checkpoint, engine=args.engine, device=args.device, streams=streams, batch=batch,
        image_hw=image_hw)
    return exported, exported.describe()


def asked_flags(args: argparse.Namespace) -> list[str]:
    """Those of the flags that ask for an engine, or for something of one; none by default."""
    given = {
        "--engine": args.engine not in (None, AUTO, MMDET), "--precision": args.precision != AUTO,
        "--size": args.size is not None, "--max-proposals": args.max_proposals is not None,
    }
    return [flag for flag, was_given in given.items() if was_given]
