"""mmengine's own checkpoint loading, redirected to ``load_checkpoint``."""

from __future__ import annotations

from typing import Any

from mmengine.runner import checkpoint as mmengine_checkpoint

from detkit.checkpoints.load_checkpoint import load_checkpoint
from detkit.errors import WeightsError

# URL schemes of published weights in mmengine, and the mmengine function that lists their URLs.
_MODEL_ZOO_SCHEMES = {
    "torchvision://": "get_torchvision_models", "modelzoo://": "get_torchvision_models",
    "open-mmlab://": "get_external_models", "openmmlab://": "get_external_models",
}


def register_checkpoint_loaders() -> None:
    """Let mmengine load every checkpoint, such as those of ``init_cfg``, with ``load_checkpoint``.

    mmengine's loaders read any pickle, and cache a download under the last part of its URL only.
    """
    mmengine_checkpoint.CheckpointLoader.register_scheme(
        ("", "http://", "https://", *_MODEL_ZOO_SCHEMES), _load_for_mmengine, force=True)


def _load_for_mmengine(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load a file, a URL or a model zoo name such as torchvision://resnet50.

    Raises:
        OSError: the file cannot be read or downloaded; mmengine's loaders raise the same.
    """
    scheme, _, name = filename.partition("://")
    table = _MODEL_ZOO_SCHEMES.get(f"{scheme}://")
    try:
        if table is not None:
            name = mmengine_checkpoint.get_deprecated_model_names().get(name, name)
            filename = getattr(mmengine_checkpoint, table)()[name]
        return load_checkpoint(filename, map_location or "cpu")
    except KeyError as error:
        raise OSError(f"{filename}: no weights are published under this name") from error
    except WeightsError as error:
        raise OSError(str(error)) from error
