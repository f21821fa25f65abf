"""detkit: any image-classification backbone as an object detector.

Importing the package is quick: it places a finder that answers for ``mmcv._ext`` when someone
asks for it. torch, mmcv and mmdet are imported when they are used.
"""

from typing import TYPE_CHECKING

from detkit.aliases import EXPORTS
from detkit.ops.finder import install as _install_ops
from detkit.version import __version__

if TYPE_CHECKING:
    from detkit.inference.engine_predictor import EnginePredictor
    from detkit.inference.predictor import Predictor
    from detkit.structures.classifications import Classifications
    from detkit.structures.detections import Detections

__all__ = ["Classifications", "Detections", "EnginePredictor", "Predictor", "__version__"]

_install_ops()


_HOMES = {
    "Classifications": "detkit.structures.classifications",
    "Detections": "detkit.structures.detections",
    "EnginePredictor": "detkit.inference.engine_predictor",
    "Predictor": "detkit.inference.predictor",
}


def __getattr__(name: str) -> object:
    current_name = EXPORTS.get(name, name)
    if current_name not in _HOMES:
        raise AttributeError(f"module 'detkit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[current_name]), current_name)
