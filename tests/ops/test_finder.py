"""The finder provides mmcv._ext when it is missing, and not when it is installed."""

import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest


def run_python(code: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_mmcv_and_mmdet_import_after_detkit(repository: Path) -> None:
    code = "import detkit, mmcv.ops, mmdet.models, mmcv._ext as e; print(e.__spec__.origin)"
    assert run_python(code, repository) == "detkit.ops"


def test_importing_detkit_imports_neither_torch_nor_mmcv(repository: Path) -> None:
    code = "import detkit, sys; print(sorted({'torch', 'mmcv', 'numpy'} & set(sys.modules)))"
    assert run_python(code, repository) == "[]"


def test_compiled_extension_takes_precedence(repository: Path, tmp_path: Path) -> None:
    package = tmp_path / "mmcv"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_ext.py").write_text("nms = 'compiled'\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
        "import detkit, mmcv._ext; print(mmcv._ext.nms)"
    )
    assert run_python(code, repository) == "compiled"


def test_install_is_idempotent() -> None:
    from detkit.ops.finder import ExtensionFinder, install

    install()
    install()
    assert sum(isinstance(finder, ExtensionFinder) for finder in sys.meta_path) == 1
    positions = {type(finder): position for position, finder in enumerate(sys.meta_path)}
    # after the finder of a compiled extension on the path
    assert positions[ExtensionFinder] > sys.meta_path.index(PathFinder)


def test_missing_operator_raises_when_called() -> None:
    import mmcv.ops

    from detkit.errors import DetkitError

    boxes = pytest.importorskip("torch").zeros(2, 5)
    with pytest.raises(DetkitError, match="'box_iou_rotated'"):
        mmcv.ops.box_iou_rotated(boxes, boxes)


def test_names_with_underscores_are_not_operators() -> None:
    import mmcv._ext

    assert hasattr(mmcv._ext, "any_operator_of_a_later_mmcv")
    assert not hasattr(mmcv._ext, "__wrapped__")
    assert not hasattr(mmcv._ext, "_private")


def test_environment_report_has_no_compiler() -> None:
    from mmcv.ops import get_compiler_version, get_compiling_cuda_version

    assert "detkit" in get_compiler_version()
    assert isinstance(get_compiling_cuda_version(), str)
