"""The predictor that the arguments of a command ask for."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from detkit.cli.progress import status

if TYPE_CHECKING:
    from detkit.inference.predictor_protocol import PredictorProtocol


def build_predictor(
    args: argparse.Namespace,
    original_hw: tuple[int, int] | None = None,
    num_streams: int = 1,
    batch_size: int = 8,
    **changes: Any,
) -> PredictorProtocol[Any]:
    """Set the device and the threads, and load the predictor.

    Args:
        args: has ``checkpoint``, ``device``, and what `add_engine_flags` adds.
        original_hw, num_streams, batch_size: as of `detkit.inference.build_predictor`.
        **changes: ``size`` or ``max_proposals`` instead of those of ``args``.

    Raises:
        DetkitError: as of `detkit.inference.build_predictor`.
    """
    from detkit.engine.devices import set_cpu_threads, set_device
    from detkit.inference.build_predictor import build_predictor as build

    set_cpu_threads(set_device(args.device))
    fallback_reasons: list[str] = []
    with status(f"loading {args.checkpoint}"):
        predictor = build(
            args.checkpoint, engine=args.engine, precision=args.precision, device=args.device,
            original_hw=original_hw, num_streams=num_streams, batch_size=batch_size,
            on_fallback=fallback_reasons.append,
            **{"size": args.size, "max_proposals": args.max_proposals, **changes})
    for reason in fallback_reasons:
        print(f"{args.checkpoint}: runs in mmdet, since no engine can run it: {reason}",
              file=sys.stderr)
    return predictor
