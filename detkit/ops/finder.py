"""Import finder for ``mmcv._ext`` where no compiled extension is installed.

``import detkit`` installs it. It does not import torch; that happens when mmcv imports the module.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

EXTENSION = "mmcv._ext"


class ExtensionFinder(importlib.abc.MetaPathFinder):
    """The last finder in ``sys.meta_path``, so that a compiled extension is found first."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return a spec for ``mmcv._ext``, and None for every other name."""
        if fullname != EXTENSION:
            return None
        return importlib.util.spec_from_loader(fullname, _ExtensionLoader(), origin="detkit.ops")


class _ExtensionLoader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        from detkit.ops.extension import add_operators

        add_operators(module)


def install() -> None:
    """Install the finder; calling it again has no effect."""
    if not any(isinstance(finder, ExtensionFinder) for finder in sys.meta_path):
        sys.meta_path.append(ExtensionFinder())
