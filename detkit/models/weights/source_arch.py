"""What a checkpoint says of the network that it holds: in its content, beside it, or by its name.

timm has twins of one layout and other padding and eps, such as efficientnet_b0 and
tf_efficientnet_b0: the tensors do not tell which of the two a file holds, these signs may.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

# timm's families with a tf_ twin.
_NAME = r"(?:tf_)?(?:efficientnet|efficientnetv2|mobilenetv3|mixnet)_[a-z0-9_]+"
_IN_FILE_NAME = re.compile(rf"(?<![a-z0-9])({_NAME})")
_ARCH_KEYS = ("arch", "architecture", "model_name")
# Names of files in timm's repositories on the hub, whose folder has the model's name.
_HUB_FILES = ("model", "pytorch_model", "open_clip_model")
_MAX_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True)
class SourceArch:
    """The network that a checkpoint says it holds.

    Args:
        name: timm's name without a tag, such as 'tf_efficientnet_b0'.
        evidence: where the name is from, for messages: "its 'arch'".
        is_certain: False for the name of a file, which may leave the 'tf_' out.
    """

    name: str
    evidence: str
    is_certain: bool

    @property
    def is_tensorflow(self) -> bool:
        """Whether the weights were trained in TensorFlow: 'same' padding, eps 1e-3."""
        return self.name.startswith("tf_")


def find_source_arch(origin: str | None, content: Mapping[str, Any]) -> SourceArch | None:
    """Return the network that a checkpoint says it holds; None if it says none with a tf_ twin.

    Args:
        origin: the path or URL of the file; None if the content is not from a file.
        content: the file's, as ``load_checkpoint`` returns it.
    """
    candidates = [*_names_in(content, "its '{}'")]
    if origin is not None:
        candidates += _names_beside(origin)
    for name, evidence in candidates:
        arch = name.partition(".")[0].lower()
        if re.fullmatch(_NAME, arch):
            return SourceArch(arch, evidence, is_certain=True)
    path = PurePosixPath((origin or "").partition("?")[0].replace("\\", "/"))
    folders = path.parts[-4:-1][::-1] if path.stem in _HUB_FILES else ()
    for index, part in enumerate((path.stem, *folders)):
        match = _IN_FILE_NAME.search(part.lower())
        if match:
            arch = match[1].strip("_")
            return SourceArch(arch, "its folder's name" if index else "its file name",
                              is_certain=arch.startswith("tf_"))
    return None


def _names_in(content: Mapping[str, Any], evidence: str) -> Iterator[tuple[str, str]]:
    for key in _ARCH_KEYS:
        if isinstance(content.get(key), str):
            yield content[key], evidence.format(key)
    cfg = content.get("pretrained_cfg")
    if isinstance(cfg, str):  # the metadata of a safetensors file are text
        try:
            cfg = json.loads(cfg)
        except ValueError:
            cfg = None
    if isinstance(cfg, Mapping) and isinstance(cfg.get("architecture"), str):
        yield cfg["architecture"], evidence.format("pretrained_cfg")


def _names_beside(origin: str) -> Iterator[tuple[str, str]]:
    """Names in the metadata of a local safetensors file, and in the hub's config beside a file."""
    file = Path(origin.removeprefix("file://")).expanduser()
    try:
        if file.suffix == ".safetensors" and file.is_file():
            from safetensors import safe_open

            with safe_open(str(file), framework="pt") as opened:
                yield from _names_in(opened.metadata() or {}, "'{}' in its metadata")
        config = file.with_name("config.json")
        if file.stem in _HUB_FILES and config.is_file() and (
                config.stat().st_size <= _MAX_CONFIG_BYTES):
            parsed = json.loads(config.read_text(encoding="utf-8"))
            if isinstance(parsed, Mapping):
                yield from _names_in(parsed, "'{}' in the config.json beside it")
    # Signs only: a file that cannot be read is reported where it is loaded.
    except (OSError, ValueError, RecursionError):
        return
