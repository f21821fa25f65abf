"""The single OpenVINO ``Core`` of the process.

Each ``Core`` that loads the CPU plugin sets an alternate signal stack for the calling thread, and
restores the previous one when it is destroyed (seen in 2026.4.1, on every processor). If two are
destroyed in the order of their creation, the second restores the stack of the first, which is
unmapped by then, and the next signal, such as Ctrl-C or the end of a child, kills the process. So
there is one ``Core``, which is never destroyed.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

from detkit.errors import MissingExtraError
from detkit.inference.engines.no_telemetry import disable_telemetry


@lru_cache(maxsize=None)
def openvino_core() -> Any:
    """The ``openvino.Core`` of the process, with its CPU plugin loaded.

    Raises:
        MissingExtraError: openvino is not installed.
    """
    core = _library().Core()
    # The query loads the plugin.
    core.get_property("CPU", "FULL_DEVICE_NAME")
    return core


def import_openvino() -> Any:
    """Import OpenVINO after the ``Core`` exists, since the library creates others for itself.

    Raises:
        MissingExtraError: it is not installed.
    """
    openvino_core()
    return _library()


def import_openvino_module(name: str) -> Any:
    """Import a module of OpenVINO, such as 'opset14', as `import_openvino` does.

    Raises:
        MissingExtraError: the library is not installed.
    """
    import_openvino()
    return import_module(f"openvino.{name}")


def _library() -> Any:
    disable_telemetry()
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("openvino", "openvino") from error
    return openvino
