"""OpenVINO's one ``Core`` of the process.

Each ``Core`` that loads the CPU plugin gives the calling thread an alternate signal stack, and puts
the one that it found back when it goes (seen in 2026.4.1, on every processor). Of two that go in
the order in which they came, the second puts the stack of the first back, which is unmapped by
then: the next signal, Ctrl-C or a child's end, kills the process. So there is one, and it stays.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

from detkit.errors import MissingExtraError
from detkit.inference.engines.no_telemetry import disable_telemetry


@lru_cache(maxsize=None)
def openvino_core() -> Any:
    """The ``openvino.Core`` of the process, its CPU plugin loaded.

    Raises:
        MissingExtraError: openvino is not installed.
    """
    core = _library().Core()
    # Asking loads the plugin.
    core.get_property("CPU", "FULL_DEVICE_NAME")
    return core


def import_openvino() -> Any:
    """The library, after its one ``Core`` was made: what it makes for itself comes and goes later.

    Raises:
        MissingExtraError: it is not installed.
    """
    openvino_core()
    return _library()


def import_openvino_module(name: str) -> Any:
    """A module of the library, such as 'opset14', imported as `import_openvino` does.

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
