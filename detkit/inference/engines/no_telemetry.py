"""OpenVINO, NNCF and ONNX Runtime, imported with what they send to their makers turned off.

OpenVINO and NNCF report each import and conversion to Google Analytics through the package
``openvino_telemetry``, which takes a missing consent file for consent. Both go on without it where
it cannot be imported. ONNX Runtime since 1.29 reports to Microsoft from compiled code, and heeds an
environment variable that must stand before it is loaded.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from detkit.errors import MissingExtraError


def disable_telemetry() -> None:
    """Keep the libraries, where they are imported later, from reporting to their makers."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # None has every import of it fail.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]


def import_onnxruntime() -> Any:
    """ONNX Runtime.

    Raises:
        MissingExtraError: it is not installed.
    """
    disable_telemetry()
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "onnx") from error
    return onnxruntime


def import_nncf() -> Any:
    """NNCF.

    Raises:
        MissingExtraError: it is not installed.
    """
    disable_telemetry()
    try:
        import nncf
    except ImportError as error:
        raise MissingExtraError("nncf", "openvino") from error
    return nncf
