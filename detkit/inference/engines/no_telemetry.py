"""Import OpenVINO, NNCF and ONNX Runtime with their telemetry disabled.

OpenVINO and NNCF report each import and conversion to Google Analytics through the package
``openvino_telemetry``, which treats a missing consent file as consent. Both run without it if it
cannot be imported. ONNX Runtime since 1.29 reports to Microsoft from compiled code, unless an
environment variable is set before it is loaded.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from detkit.errors import MissingExtraError


def disable_telemetry() -> None:
    """Disable the telemetry of the libraries when they are imported later."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # With None, every import of it fails.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]


def import_onnxruntime() -> Any:
    """Import ONNX Runtime.

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
    """Import NNCF.

    Raises:
        MissingExtraError: it is not installed.
    """
    disable_telemetry()
    try:
        import nncf
    except ImportError as error:
        raise MissingExtraError("nncf", "openvino") from error
    return nncf
