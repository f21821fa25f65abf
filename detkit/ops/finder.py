"""A finder that answers for ``mmcv._ext`` when no compiled one is there."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

NAME = "mmcv._ext"


class _ExtensionFinder(importlib.abc.MetaPathFinder):
    """Stands last in ``sys.meta_path``: a compiled extension, where there is one, comes first."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != NAME:
            return None
        spec = importlib.machinery.PathFinder.find_spec("detkit.ops", None)
        assert spec is not None
        from importlib.util import spec_from_loader

        return spec_from_loader(fullname, _ExtensionLoader())


class _ExtensionLoader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        from detkit.ops.extension import fill

        fill(module)


def install() -> None:
    """Place the finder once; calling again changes nothing."""
    if not any(isinstance(finder, _ExtensionFinder) for finder in sys.meta_path):
        sys.meta_path.append(_ExtensionFinder())
